package report

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/cache"

	"github.com/telltale-dev/telltale/webhook/report/internal/event"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
	"github.com/telltale-dev/telltale/webhook/report/internal/otlp"
	"github.com/telltale-dev/telltale/webhook/report/internal/owner"
)

// The limits of the log. Lines a second on average, at once, and at the end.
// The time between two lines that say why no failure can be shown now. The time
// between two lines of the same namespace and cause that say that failures can
// never be shown, and for how many namespaces and causes it is kept.
const (
	linesPerSecond = 10
	linesAtOnce    = 100
	linesAtEnd     = 100
	loudEvery      = 30 * time.Second
	lostEvery      = time.Minute
	lostKept       = 1000
)

// lost limits the lines about failures that no event can ever show. If a
// namespace was deleted, or owners were invented, one line says enough.
type lost struct {
	namespace string
	cause     ledger.Cause
}

// limitedLog is a log that a flood of failures does not fill.
type limitedLog struct {
	logr.Logger

	sink string

	lines     *rate.Limiter
	leftOut   atomic.Int64
	lost      *cache.LRUExpireCache // lost → nil
	forbidden rate.Sometimes
	failing   rate.Sometimes
}

func newLimitedLog(log logr.Logger, sink string) *limitedLog {
	return &limitedLog{
		Logger:    log,
		sink:      sink,
		lines:     rate.NewLimiter(linesPerSecond, linesAtOnce),
		lost:      cache.NewLRUExpireCache(lostKept),
		forbidden: rate.Sometimes{First: 1, Interval: loudEvery},
		failing:   rate.Sometimes{First: 1, Interval: loudEvery},
	}
}

// shown logs that an entry's failures were shown as an event. If there are too
// many such lines, it only counts the line as left out. One line says the same as
// a log record, so for records there is none.
func (l *limitedLog) shown(e ledger.Entry) {
	if l.sink != toEvents {
		return
	}
	if !l.lines.Allow() {
		l.leftOut.Add(1)

		return
	}
	l.Info(event.Message(e.Failure), about(e, "linesLeftOut", l.leftOut.Swap(0))...)
}

// givenUp logs that an entry's failures can never be shown, unless it logged
// the same lately for others. For records there is no line: their entries are given
// up for the same owners.
func (l *limitedLog) givenUp(e ledger.Entry, final *ledger.FinalError) {
	if l.sink != toEvents {
		return
	}
	key := lost{e.Owner.Namespace, final.Cause}
	if _, said := l.lost.Get(key); said {
		return
	}
	l.lost.Add(key, nil, lostEvery)
	l.Error(final, event.Message(e.Failure), about(e, "cause", final.Cause,
		"hint", "no event can show it; for a minute, others of this namespace and cause are only counted, in telltale_report_unreported_total")...)
}

// away logs, from time to time, that failures can't be shown now.
func (l *limitedLog) away(err error, pending func() int64) {
	if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
		l.forbidden.Do(func() {
			l.Error(err, "cannot write events: grant get on replicasets, jobs, pods and namespaces, and create and patch on events; "+
				"until then failures are kept", "sink", l.sink, "pending", pending())
		})

		return
	}
	l.failing.Do(func() {
		l.Error(err, "cannot show failures now; failures are kept, and shown later", "sink", l.sink, "pending", pending())
	})
}

// logOutcome logs how the write of an entry's failures ended.
func (b *branch) logOutcome(e ledger.Entry, err error) {
	final, isFinal := errors.AsType[*ledger.FinalError](err)
	switch {
	case err == nil && !e.Resolved, errors.Is(err, owner.ErrNoPod):
		// The entry is not done yet.
	case err == nil:
		b.log.shown(e)
	case isFinal:
		b.log.givenUp(e, final)
	default:
		b.log.away(err, b.pending)
	}
}

// logLeft logs the failures that are not shown when run ends.
func (b *branch) logLeft() {
	var owing []ledger.Entry
	b.locked(func() { owing = b.ledger.Owing() })
	for _, e := range owing[:min(len(owing), linesAtEnd)] {
		b.log.Info(event.Message(e.Failure), about(e, "sink", b.name, "hint", "there was no time to show it")...)
	}
	if n := b.pending(); n > 0 {
		b.log.Info("ended before all failures were shown", "sink", b.name, "failures", n, "keys", len(owing))
	}
}

// about returns the parts of a line about an entry: the attributes of its log
// record, so that one query finds both.
func about(e ledger.Entry, more ...any) []any {
	var all []any
	for _, a := range otlp.Attributes(e, e.Owed) {
		all = append(all, string(a.Key), a.Value.AsInterface())
	}

	return append(all, more...)
}
