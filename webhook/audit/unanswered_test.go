package audit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// pods are those of all failures that were reported.
type podsReported []string

func (p *podsReported) Report(f failure.Failure) { *p = append(*p, f.Pod) }

// TestUnanswered follows failures of two reviews through heartbeats.
func TestUnanswered(t *testing.T) {
	timedOut := func(pod, trace string) failure.Failure {
		return failure.Failure{Reason: failure.Timeout, Injection: failure.Injection{Name: "proxy"}, Pod: pod, Trace: trace}
	}

	for name, c := range map[string]struct {
		reason   string
		beats    func(*Unanswered)
		reported string
		known    string // pods with the trace that others asked about
	}{
		"NotYet": {
			"No heartbeat has got through, so the leader knows nothing.",
			func(u *Unanswered) { u.Tell(true, 1<<20) }, "", "",
		},
		"Told": {
			"Others know of both.",
			func(u *Unanswered) { u.Tell(true, 1<<20); u.Told(true, false) }, "a b", "a b",
		},
		"Meanwhile": {
			"The second came when the heartbeat was on its way.",
			func(u *Unanswered) {
				u.held = u.held[:1]
				u.Tell(true, 1<<20)
				u.Report(timedOut("b", "2"))
				u.Told(true, false)
			}, "a", "a",
		},
		"GivenUp": {
			"This replica stood still for so long that the leader tells of its pods.",
			func(u *Unanswered) {
				u.Tell(false, 1<<20)
				u.Told(false, false)
				u.Tell(true, 1<<20)
				u.Told(true, false)
			}, "", "",
		},
		"GivenUpWithRecord": {
			"The leader sees a record on the second pod, so it says nothing of it.",
			func(u *Unanswered) { u.held[1].failure.HasRecord = true; u.Tell(false, 1<<20); u.Told(false, false) }, "b", "",
		},
		"NoRoomWithRecord": {
			"There is no room for notices, and the second pod has a record.",
			func(u *Unanswered) { u.held[1].failure.HasRecord = true; u.Tell(true, 0); u.Told(true, false) }, "b", "",
		},
		"Full": {
			"No more are held. Of two more pods one has a record.",
			func(u *Unanswered) {
				u.held = make([]heldReview, maxKnown)
				u.Report(timedOut("c", "3"))

				f := timedOut("d", "4")
				f.HasRecord = true
				u.Report(f)
			}, "d", "",
		},
		"Only": {
			"There is no other that could have told.",
			func(u *Unanswered) {
				u.Tell(false, 1<<20)
				u.Told(false, true)
				u.Tell(true, 1<<20)
				u.Told(true, true)
			}, "a b", "a b",
		},
		"NoRoom": {
			"The heartbeat is full, so the leader tells of the second.",
			func(u *Unanswered) {
				for i := range maxNotices - 1 {
					u.told = append(u.told, notice{fmt.Sprint(i), time.Now()})
				}

				u.Tell(true, 1<<20)
				u.Told(true, false)
			}, "a", "a",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got podsReported

				u := NewUnanswered(&got)
				u.Report(failure.Failure{Reason: failure.Conflict, Pod: "first"}) // it has a record
				u.Report(timedOut("a", "1"))
				u.Report(timedOut("b", "2"))
				c.beats(u)

				if want := strings.TrimSpace("first " + c.reported); strings.Join(got, " ") != want {
					t.Errorf("reported %q, want %q: %s", got, want, c.reason)
				}

				var known []string

				for pod, trace := range map[string]string{"a": "1", "b": "2"} {
					if u.Has(trace, failure.Injection{Name: "proxy"}, types.UID(pod)) {
						known = append(known, pod)
					}
				}

				slices.Sort(known)

				if strings.Join(known, " ") != c.known {
					t.Errorf("knows %q, want %q: %s", known, c.known, c.reason)
				}
			})
		})
	}
}

// TestSameTrace: two replicas notice a review each, of pods without a token that were
// created in the same second. So two of three pods timed out, whichever.
func TestSameTrace(t *testing.T) {
	leader := NewUnanswered(&podsReported{})

	for range 2 {
		u := NewUnanswered(&podsReported{})
		u.Report(failure.Failure{Injection: failure.Injection{Name: "proxy"}, Trace: "1"})

		for range 3 {
			all := u.Tell(true, 1<<20)
			u.Told(true, false)
			leader.Hear(all)
		}
	}

	for range 2 {
		for i, want := range []bool{true, true, false} {
			if got := leader.Has("1", failure.Injection{Name: "proxy"}, types.UID(fmt.Sprint(i))); got != want {
				t.Errorf("pod %d: timed out: %v, want %v", i, got, want)
			}
		}
	}

	if leader.Has("1", failure.Injection{Name: "other"}, "0") {
		t.Error("another Injection timed out")
	}
}

// TestManyOfOneTrace: of 1,000 pods with the same trace, 900 timed out, so the leader
// says of 100 that they were missed.
func TestManyOfOneTrace(t *testing.T) {
	u, leader := NewUnanswered(&podsReported{}), NewUnanswered(&podsReported{})

	for range 900 {
		u.Report(failure.Failure{Injection: failure.Injection{Name: "proxy"}, Trace: "1"})
	}

	leader.Hear(u.Tell(true, 1<<20))

	timedOut := 0

	for i := range 1000 {
		if leader.Has("1", failure.Injection{Name: "proxy"}, types.UID(fmt.Sprint(i))) {
			timedOut++
		}
	}

	if timedOut != 900 {
		t.Errorf("%d pods timed out, want 900", timedOut)
	}
}
