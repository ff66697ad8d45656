package report

import (
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
	"github.com/telltale-dev/telltale/webhook/report/internal/owner"
)

// The limits of what is logged: lines a second on average, at once, and at the
// end; the time between two lines that say why nothing can be shown now; and
// that between two of one namespace and cause that say that nothing ever can,
// of so many namespaces and causes.
const (
	linesPerSecond = 10
	linesAtOnce    = 100
	linesAtEnd     = 100
	loudEvery      = 30 * time.Second
	lostEvery      = time.Minute
	lostKept       = 1000
)

// lost is what lines about failures that no event can show are limited by: of a
// deleted namespace, or of invented owners, one says all there is to say.
type lost struct {
	namespace string
	cause     ledger.Cause
}

// logOutcome logs what became of the failures that an entry owed: a line where
// they were shown, one from time to time where they were given up, and a loud
// one while they can't be shown.
func (r *Reporter) logOutcome(e ledger.Entry, err error, cause ledger.Cause) {
	switch {
	case err == nil && !e.Resolved, errors.Is(err, owner.ErrNoPod):
		// Not the end of it.
	case err == nil:
		r.line(func(left int64) {
			r.o.Log.Info("Injection not applied", about(e, "linesLeftOut", left)...)
		})
	case cause != "":
		about := about(e, "cause", cause)
		if r.losing(lost{e.Owner.Namespace, cause}) {
			r.o.Log.Error(err, "Injection not applied, and no event can show it; others of this namespace and cause are only counted, "+
				"for a minute, in telltale_report_unreported_total", about...)
		}
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

// losing tells whether it is time for a line about this again.
func (r *Reporter) losing(l lost) bool {
	if _, said := r.lost.Get(l); said {
		return false
	}
	r.lost.Add(l, nil, lostEvery)

	return true
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
