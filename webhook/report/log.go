package report

import (
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
	"github.com/telltale-dev/telltale/webhook/report/internal/owner"
)

// The limits of what is logged: lines a second on average, at once, and at the
// end; and the time between two lines that say why nothing can be shown.
const (
	linesPerSecond = 10
	linesAtOnce    = 100
	linesAtEnd     = 100
	loudEvery      = 30 * time.Second
)

// logOutcome logs what became of the failures that an entry owed. There is a
// line where they were shown or given up, so at most one a failure, and a loud
// one from time to time while they can't be.
func (r *Reporter) logOutcome(e ledger.Entry, err error, cause ledger.Cause) {
	switch {
	case err == nil && !e.Resolved, errors.Is(err, owner.ErrNoPod):
		// Not the end of it.
	case err == nil:
		r.line(func(left int64) {
			r.o.Log.Info("Injection not applied", about(e, "linesLeftOut", left)...)
		})
	case cause != "":
		r.line(func(left int64) {
			r.o.Log.Error(err, "Injection not applied, and no event can show it", about(e, "cause", cause, "linesLeftOut", left)...)
		})
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		r.forbidden.Do(func() {
			r.o.Log.Error(err, "cannot write events: grant get on replicasets, jobs and pods, and create and patch on events; "+
				"until then failures are kept", "pending", r.pending())
		})
	default:
		r.failing.Do(func() {
			r.o.Log.Error(err, "cannot write events now; failures are kept, and written later", "pending", r.pending())
		})
	}
}

// line logs a line, or counts it as left out if there are too many.
func (r *Reporter) line(log func(leftOut int64)) {
	if !r.lines.Allow() {
		r.leftOut.Add(1)

		return
	}
	log(r.leftOut.Swap(0))
}

// logLeft logs what is not shown when Run ends.
func (r *Reporter) logLeft() {
	var owing []ledger.Entry
	r.locked(func() { owing = r.ledger.Owing() })
	for i, e := range owing {
		if i == linesAtEnd {
			break
		}
		r.o.Log.Info("Injection not applied, and there was no time to show it", about(e)...)
	}
	if n := r.pending(); n > 0 {
		r.o.Log.Info("ended before all failures were shown", "failures", n, "keys", len(owing))
	}
}

func (r *Reporter) pending() (n int64) {
	r.locked(func() { n = r.ledger.Pending() })

	return n
}

// about is what a line says about an entry. The text holds no values.
func about(e ledger.Entry, more ...any) []any {
	return append([]any{
		"reason", e.Reason, "injection", e.Injection.String(), "owner", e.Owner.String(),
		"failures", e.Owed, "pod", e.Pod, "text", e.Text,
	}, more...)
}
