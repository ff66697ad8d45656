package ledger

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// TestClockSetBack sets the clock back and forth by hours. No process sees this
// (its times have a monotonic reading). Counts are never negative, reported
// failures stay reported, and none is lost, or owed for ever.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	l, now := New(Options{}), time.Unix(1_000_000, 0)
	var added, reported int64
	for step := range 20_000 {
		switch n := r.IntN(100); {
		case n < 50:
			owner := ref(fmt.Sprintf("StatefulSet/%d", r.IntN(20)))
			l.Add(failure.Failure{Reason: failure.Conflict, Owner: owner}, now)
			added++
		case n < 98:
			settleDue(l, now)
			now = now.Add(time.Second)
		default:
			now = now.Add(time.Duration(r.IntN(121)-60) * time.Minute)
		}
		if err := l.Check(); err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		s := l.Stats()
		if s.Reported < reported || s.Pending < 0 || s.Reported+s.Pending != added {
			t.Fatalf("step %d: %d added, %d reported before, now %+v", step, added, reported, s)
		}
		reported = s.Reported
	}

	for at, more := l.Next(); more; at, more = l.Next() {
		settleDue(l, at)
	}
	if s := l.Stats(); s.Reported != added || s.Pending != 0 {
		t.Errorf("%d added, at rest %+v", added, s)
	}
}

func settleDue(l *Ledger, now time.Time) {
	for e, ok := l.Due(now); ok; e, ok = l.Due(now) {
		if e.Resolved {
			l.Settle(e, Receipt{Stored: e.Total}, now)
		} else {
			l.Move(e, e.Owner, now)
		}
	}
}
