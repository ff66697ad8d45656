package report

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// unsure is a sink whose answers are lost for a time.
type unsure struct {
	lost  atomic.Bool
	taken []string // the owners of the writes that had an answer
}

func (u *unsure) Write(_ context.Context, e ledger.Entry) (ledger.Receipt, error) {
	if u.lost.Load() {
		return ledger.Receipt{Unclear: true}, errors.New("no answer")
	}
	u.taken = append(u.taken, e.Owner.Name)

	return ledger.Receipt{Stored: 1}, nil
}

// TestUnclear: the sink may have taken a write that had no answer. So it is repeated
// for the same object, though the owner has been adopted by another since. Later
// failures go to that one.
func TestUnclear(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var adopted atomic.Bool
		o := Options{Follow: 2 * time.Second}.withDefaults()
		u := &unsure{}
		u.lost.Store(true)
		resolve := func(_ context.Context, f failure.Failure, _ time.Duration) (failure.Ref, error) {
			if adopted.Load() {
				return failure.Ref{Kind: "Deployment", Namespace: "shop", Name: "web", UID: "web"}, nil
			}

			return f.Owner, nil
		}
		r := newReporter(o, newBudget(o), resolve, u)
		end := start(t, r)
		r.Report(conflict("StatefulSet", "db"))
		time.Sleep(5 * time.Second)
		adopted.Store(true)
		r.Report(conflict("StatefulSet", "db"))
		time.Sleep(5 * time.Second)
		u.lost.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string{"db", "web"}, u.taken); diff != "" || r.branches[0].pending() != 0 {
			t.Errorf("%d pending, -want +got:\n%s", r.branches[0].pending(), diff)
		}
		end()
	})
}
