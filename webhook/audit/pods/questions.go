package pods

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches"
)

// questions are those to the API server of one round. Each is asked once.
type questions struct {
	*term

	stopped    *bool
	injections map[*patches.Injection]bool
	labels     map[string]map[string]string
	templates  map[types.UID]*corev1.PodTemplateSpec // by controller of pods
}

func newQuestions(t *term) *questions {
	return &questions{
		term: t, injections: map[*patches.Injection]bool{}, labels: map[string]map[string]string{},
		templates: map[types.UID]*corev1.PodTemplateSpec{},
	}
}

// found is what the API server says about a candidate.
type found int

const (
	missed  found = iota
	changed       // something that decides was edited meanwhile
	unclear       // the pod may not have been as it is now when webhooks were called
)

// about asks all questions about a candidate.
func (q *questions) about(ctx context.Context, c *candidate) (found, error) {
	if same, err := q.isSame(ctx, c); err != nil || !same {
		return changed, err
	}

	if chosen, err := q.isChosen(ctx, c); err != nil || !chosen {
		return unclear, err
	}

	return missed, nil
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
