package pods

import (
	"context"
	"time"

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
	// isOld is true for a pod of an earlier term: if it was missed, that has told it.
	isOld bool
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

		a, err := ask.about(ctx, c)
		if err != nil {
			return err
		}

		delete(t.candidates, once)

		switch a {
		case changed:
			t.changes.lookAgain(c.namespace)
		case unclear: // it stays Unsure
		case missed:
			t.tellMissed(once, c)
		}
	}

	return nil
}

func (t *term) tellMissed(once string, c *candidate) {
	t.told[once] = true
	t.book.change(c.uid, nameOf(c.injection), Missed)

	if !c.isOld {
		t.reporter.Report(c.failure)
	}

	t.o.Healer.Ails(c.uid, c.created, nameOf(c.injection), c.failure)
}
