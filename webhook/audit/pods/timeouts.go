package pods

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/webhook/audit/note"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// timedOut is what reviews timed out for: the uid of the object with the event, and
// the Injection.
type timedOut struct {
	owner     types.UID
	injection failure.Injection
}

// isTimedOut tells whether the review of a candidate timed out. Such a pod has no mark, and its owner has the event InjectionTimeout already: so
// as many pods as that counts are set against it (telltale.TestTimedOut).
func (q *questions) isTimedOut(ctx context.Context, c *candidate) (bool, error) {
	events, asked := q.timeouts[c.namespace]
	if !asked {
		list, err := q.core.Events(c.namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=" + string(failure.Timeout)})
		if err != nil {
			return false, fmt.Errorf("cannot list the events of reviews that timed out: %w", err)
		}

		events = list.Items
		q.timeouts[c.namespace] = events
	}

	if len(events) == 0 { // mostly
		return false, nil
	}

	owner, err := q.topOf(ctx, c.failure.Owner)
	if err != nil {
		return false, err
	}

	for i := range events {
		e := &events[i]
		key := timedOut{owner, c.failure.Injection}

		if e.InvolvedObject.UID == owner && isAbout(e, c) && q.setOff[key] < int(e.Count) {
			q.setOff[key]++

			return true, nil
		}
	}

	return false, nil
}

// isAbout tells whether an event is about the Injection of a candidate, or about all,
// and may be about its pod: it was written since the pod was created.
func isAbout(e *corev1.Event, c *candidate) bool {
	for _, in := range []failure.Injection{c.failure.Injection, {}} {
		if strings.HasPrefix(e.Message, in.Title()+" not applied: ") {
			return e.LastTimestamp.After(c.created.Add(-margin))
		}
	}

	return false
}

// topOf returns the uid of the object that events of a pod's controller are on.
func (q *questions) topOf(ctx context.Context, controller failure.Ref) (types.UID, error) {
	if top, asked := q.tops[controller.UID]; asked {
		return top, nil
	}

	owner, err := note.OwnerOf(ctx, q.live, controller)
	if err == nil {
		q.tops[controller.UID] = owner.UID
	}

	return owner.UID, err
}
