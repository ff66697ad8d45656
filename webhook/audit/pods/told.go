package pods

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/webhook/audit/note"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// loadEvents reads what earlier leaders have told: the names of the pods that were
// missed or lost, and which owners have a failure that did not end.
func (t *term) loadEvents(ctx context.Context) error {
	return t.readEvents(ctx, t.loadNames)
}

// readDenied begins the stories of owners whose pods were refused meanwhile, if an
// Injection has onFailure: Deny: no pod shows that one failed (telltale.TestRestoredDenied).
func (t *term) readDenied(ctx context.Context) error {
	if !t.denies {
		return nil
	}

	return t.readEvents(ctx, func(*corev1.Event) {})
}

// readEvents begins the stories of owners with a failure that did not end.
func (t *term) readEvents(ctx context.Context, see func(*corev1.Event)) error {
	restored := map[types.UID]time.Time{}

	err := eachListed(ctx, metav1.ListOptions{FieldSelector: "source=" + note.Component}, t.lists.Events("").List, func(one runtime.Object) {
		e := one.(*corev1.Event)
		see(e)

		if reason := failure.Reason(e.Reason); reason == failure.Restored {
			restored[e.InvolvedObject.UID] = e.LastTimestamp.Time
		} else if slices.Contains(failure.Reasons(), reason) {
			t.loadStory(e)
		}
	})
	if err != nil {
		return fmt.Errorf("cannot list the events of failures: %w", err)
	}

	for owner, at := range restored {
		if one := t.stories[owner]; one != nil && !one.isBad && !one.failed.After(at) {
			delete(t.stories, owner)
		}
	}

	return nil
}

// loadStory notes that the object of an event had a failure.
func (t *term) loadStory(e *corev1.Event) {
	one := t.stories[e.InvolvedObject.UID]
	if one == nil {
		one = t.begin(e.InvolvedObject.UID, e.InvolvedObject.Namespace)
	}

	if at := e.LastTimestamp.Time; at.After(one.failed) {
		one.failed = at
	}
}

// maxTold is how many names of failures are taken from events: 20 MB. Anybody that may
// write events can make names up. Beyond it, a pod may be told again.
const maxTold = 200_000

// loadNames notes the names of the failures that an event counts.
func (t *term) loadNames(e *corev1.Event) {
	if !slices.Contains(toldOnce(), failure.Reason(e.Reason)) {
		return
	}

	for key, names := range e.Annotations {
		if !strings.HasPrefix(key, failure.OncePrefix) {
			continue
		}

		for name := range strings.SplitSeq(names, ",") {
			if len(name) == failure.OnceLength && len(t.told) < maxTold {
				t.told[strings.Clone(name)] = true // not the whole annotation
			}
		}
	}
}
