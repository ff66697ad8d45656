package pods

import (
	"context"
	"fmt"
	"maps"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// ripe is how long after it was found a missed pod is told, once the API server has
// confirmed that nothing changed.
const ripe = 3 * time.Second

// candidate is a pod that has missed an Injection, as far as this process knows.
type candidate struct {
	failure   failure.Failure
	uid       types.UID
	injection *patches.Injection
	namespace string
	labels    map[string]string // of the namespace
	created   time.Time
	since     time.Time
	trace     string
}

// asked is when a pod was created at the latest: its creation time is that of another
// clock.
func (c *candidate) asked() time.Time {
	if at := c.created.Add(margin); at.Before(c.since) {
		return at
	}

	return c.since
}

// confirm reports the candidates that are ripe. Before that, all replicas must have
// told which reviews timed out: such a pod is in the book as Failed. And the API server
// itself must say that the Injection, the labels of the namespace and the switch are
// as this process knew them: a watch may be late.
func (t *term) confirm(ctx context.Context, now time.Time) error {
	ask := newQuestions(t)

	for once, c := range t.candidates {
		if now.Sub(c.since) < ripe || !t.o.Reviews.HeardSince(c.asked()) {
			continue
		}

		if t.o.Reviews.Has(c.trace, c.failure.Injection, c.uid) {
			delete(t.candidates, once)
			t.mark.TimedOut.add(once, c.created)
			t.book.change(c.uid, nameOf(c.injection), Failed)

			continue
		}

		same, err := ask.isSame(ctx, c)
		if err != nil {
			return err
		}

		delete(t.candidates, once)

		if !same {
			t.lookAgain(c.namespace)

			continue
		}

		t.told[once] = true
		t.book.change(c.uid, nameOf(c.injection), Missed)
		t.reporter.Report(c.failure)
		t.o.Healer.Ails(c.uid, c.created, nameOf(c.injection), c.failure)
	}

	return nil
}

// questions are those to the API server of one round. Each is asked once.
type questions struct {
	*term

	stopped    *bool
	injections map[*patches.Injection]bool
	labels     map[string]map[string]string
}

func newQuestions(t *term) *questions {
	return &questions{term: t, injections: map[*patches.Injection]bool{}, labels: map[string]map[string]string{}}
}

func (q *questions) isSame(ctx context.Context, c *candidate) (bool, error) {
	if q.stopped == nil {
		stopped, err := q.isStopped(ctx)
		if err != nil {
			return false, fmt.Errorf("cannot ask whether injection is stopped: %w", err)
		}

		q.stopped = &stopped
	}

	same, asked := q.injections[c.injection]
	if !asked {
		o := objectOf(c.injection)

		err := q.live.Get(ctx, nameOf(c.injection), o)
		if err != nil && !apierrors.IsNotFound(err) {
			return false, fmt.Errorf("cannot read an Injection: %w", err)
		}

		same = err == nil && o.GetUID() == c.injection.UID && o.GetGeneration() == c.injection.Generation
		q.injections[c.injection] = same
	}

	labels, asked := q.labels[c.namespace]
	if !asked {
		o := namespace(c.namespace)

		err := q.live.Get(ctx, types.NamespacedName{Name: c.namespace}, o)
		if err != nil && !apierrors.IsNotFound(err) {
			return false, fmt.Errorf("cannot read a namespace: %w", err)
		}

		labels = o.Labels
		q.labels[c.namespace] = labels
	}

	return same && !*q.stopped && maps.Equal(labels, c.labels), nil
}
