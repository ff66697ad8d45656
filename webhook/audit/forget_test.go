package audit

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches"
)

// gone is a reader that finds nothing.
type gone struct{ client.Reader }

func (gone) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: "jobs"}, key.Name)
}

// TestGoneOwnersAreForgotten has many Jobs refused that are gone when they are looked at.
func TestGoneOwnersAreForgotten(t *testing.T) {
	r := &Refusals{reader: gone{}, stories: map[ownerRef]*story{}, trials: map[string]int{}}

	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[ownerRef]())
	defer queue.ShutDown()

	const jobs = 100
	for i := range jobs {
		name := fmt.Sprint("job-", i)
		r.hear(&corev1.Event{
			InvolvedObject: corev1.ObjectReference{APIVersion: "batch/v1", Kind: "Job", Namespace: "shop", Name: name, UID: types.UID(name)},
			Message:        `Error creating: pods "x" is forbidden: no`, LastTimestamp: metav1.Now(),
		}, 1, queue)
	}

	for range jobs {
		ref, _ := queue.Get()
		queue.Done(ref)

		for range 2 { // a second time for a refusal that is heard late, or for nothing
			if result, err := r.Reconcile(t.Context(), ref); err != nil || result.RequeueAfter != 0 {
				t.Fatalf("%v: %+v", err, result)
			}
		}
	}

	if n := len(r.stories); n > 0 {
		t.Errorf("%d stories are kept of owners that are gone", n)
	}
}

// TestOldStoriesAreForgotten keeps of an owner what may still count, and no more.
func TestOldStoriesAreForgotten(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	heard := func(ago time.Duration) hearing { return hearing{heard: 1, newest: refusal{at: now.Add(-ago)}} }

	for name, tc := range map[string]struct {
		reason string
		story  story
		want   bool // it is kept
	}{
		"Lately":    {"A second refusal may come.", story{hearing: heard(trialLimit), handled: 1}, true},
		"LongAgo":   {"Its controller no longer tries.", story{hearing: heard(trialLimit + 1), handled: 1}, false},
		"NotLooked": {"It waits for a trial.", story{hearing: heard(lastWait + 1)}, true},
		"Trial":     {"It goes on.", story{hearing: heard(lastWait + 1), handled: 1, trial: &trial{}}, true},
		"Acquitted": {"The suspects are let be.", story{hearing: heard(lastWait), handled: 1, acquitted: "x", acquittedAt: now.Add(-lastWait)}, true},
		"Acquittal": {"It is over.", story{hearing: heard(lastWait + 1), handled: 1, acquitted: "x", acquittedAt: now.Add(-lastWait - 1)}, false},
		"Refused":   {"It is for ever, and the next acquittal must count more than this one.", story{hearing: heard(time.Minute), handled: 1, acquitted: "x", acquittedAt: now.Add(-2 * lastWait)}, true},
		"Convicted": {"A refusal from before may be heard late.", story{handled: 0, convicted: now.Add(-trialLimit)}, true},
		"Proven":    {"No event is that late.", story{handled: 0, convicted: now.Add(-trialLimit - 1)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Refusals{stories: map[ownerRef]*story{{}: &tc.story}}
			r.forget(now)

			if got := len(r.stories) == 1; got != tc.want {
				t.Errorf("%s got %t", tc.reason, got)
			}
		})
	}
}

// wanting is a reader that finds a ReplicaSet without its pods.
type wanting struct{ client.Reader }

func (wanting) Get(_ context.Context, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	o.SetUID(types.UID(key.Name))

	return nil
}

// cold is a cache of Injections that is not loaded.
type cold struct{ Known }

func (cold) Match(map[string]string, string) ([]patches.Match, error) { return nil, errors.New("cold") }

// TestFailedStepIsTakenAgain has a call fail when a trial should begin: the refusal is
// not forgotten. Its controller may try again much later only.
func TestFailedStepIsTakenAgain(t *testing.T) {
	ref := ownerRef{apiVersion: "apps/v1", kind: "ReplicaSet", namespace: "shop", name: "web", uid: "web"}
	r := &Refusals{reader: wanting{}, known: cold{}, stories: map[ownerRef]*story{}, trials: map[string]int{}}
	r.locked(ref, func(s *story) {
		s.hear(refusal{kind: lastingRefusal, words: `pods "web-1" is forbidden: no`, at: time.Now()}, 1)
	})

	for i := range 2 {
		if _, err := r.Reconcile(t.Context(), ref); err == nil {
			t.Errorf("%d: the step was not taken", i)
		}
	}
}
