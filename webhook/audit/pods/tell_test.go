package pods

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// reports are the reasons of all that was reported.
type reports []failure.Reason

func (r *reports) Report(f failure.Failure) { *r = append(*r, f.Reason) }
func (r *reports) Owes(failure.Reason) bool { return false }

// TestSettle sets verdicts against what the book has of the pod.
func TestSettle(t *testing.T) {
	for name, c := range map[string]struct {
		reason  string
		how     watch.EventType
		new     bool // the book does not have the pod
		known   bool // the book has the Injection on it
		was     State
		verdict State
		want    State
		marked  bool // the last leader's mark has it
		lost    bool // and told
		waits   bool // a candidate for InjectionMissed
	}{
		"Added": {
			"Telltale was not asked about a pod that appears.",
			watch.Added, true, false, 0, Missed, Unsure, false, false, true,
		},
		"RecordAndEffectTaken": {
			"Something took away all that was on it.",
			watch.Modified, false, true, Injected, Missed, Lost, false, true, false,
		},
		"EditedSinceStripped": {
			"The record is gone, and an edit has added a part: the pod is older than that.",
			watch.Bookmark, false, true, Injected, Earlier, Outdated, false, false, false,
		},
		"EditedJustNow": {
			"The record is gone, and an edit that adds a part is on its way.",
			watch.Modified, false, true, Injected, Unsure, Injected, false, false, false,
		},
		"OtherRecord": {
			"It had all of it by another Injection, and an edit has added a part.",
			watch.Bookmark, false, true, Injected, Relabelled, Relabelled, false, false, false,
		},
		"RelabelledIntoScope": {
			"The label that removed the opt-out came later.",
			watch.Modified, true, false, 0, Missed, Relabelled, false, false, false,
		},
		"RelabelledForAnother": {
			"Another Injection is in the book; its record is gone. A label came later.",
			watch.Modified, false, false, 0, Missed, Relabelled, false, false, false,
		},
		"RelabelledBefore": {
			"The last leader has seen that the opt-out was removed.",
			watch.Bookmark, true, false, 0, Missed, Relabelled, true, false, false,
		},
		"StillRelabelled": {
			"Only its status has changed.",
			watch.Modified, false, true, Relabelled, Missed, Relabelled, false, false, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			told := reports{}
			now := time.Now()
			a := &Audit{reporter: &told, told: map[string]bool{}}
			m := &term{Audit: a, before: now.Add(-time.Hour), candidates: map[string]*candidate{}, mark: mark{Pods: map[string]time.Time{}}}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "1", CreationTimestamp: metav1.NewTime(now.Add(-time.Minute))}}

			in := patches.Compile(proxy())
			once := failure.OnceOf("1", nameOf(in), failure.Missed)

			if c.marked {
				m.mark.Pods[once] = now
			}

			got := m.settle(
				sighting{pod: pod, as: &patches.Pod{}, how: c.how, isNew: c.new, known: c.known, was: c.was},
				verdict{injection: in, state: c.verdict},
			)
			if _, marked := m.mark.Pods[once]; marked != (c.want == Relabelled && c.verdict == Missed) {
				t.Errorf("the next leader knows that it was relabelled: %v: %s", marked, c.reason)
			}

			if got != c.want || len(told) > 0 != c.lost || len(m.candidates) > 0 != c.waits {
				t.Errorf("state %d, told %v, %d candidates; want state %d: %s", got, told, len(m.candidates), c.want, c.reason)
			}
		})
	}
}
