package report

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// sink is the place where failures are shown. If Write returns no error, the
// sink holds all of the entry's Total. The receipt says how many it holds, with
// an error too, and the next Write of the entry gets it in e.Receipt.
//
// After a *ledger.FinalError the entry is given up. A *ledger.NotYetError
// concerns the entry alone. Any other error may hold for all of the namespace's
// entries, and a *ledger.WaitError says when to try again.
type sink interface {
	Write(ctx context.Context, e ledger.Entry) (ledger.Receipt, error)
}

// resolve finds the object to report a failure on; the failure happened some
// time ago. It has the same errors as a sink.
type resolve func(ctx context.Context, f failure.Failure, ago time.Duration) (failure.Ref, error)

// The names of the sinks: the label of their metrics.
const (
	toEvents  = "event"
	toRecords = "otlp"
	// toNotes is that of records about notes. It has no metrics: notes are no failures.
	toNotes = "otlp notes"
)

// branch brings failures to one sink. It has its own ledger and its own
// workers, so a sink that is away, or slow, delays no other (TestSinksApart).
type branch struct {
	o       Options
	name    string
	resolve resolve
	sink    sink
	log     *limitedLog
	delay   prometheus.Observer // of each write that the sink took

	mu     sync.Mutex
	ledger *ledger.Ledger
	wake   chan struct{} // a value: the schedule has changed
}

func newBranch(o Options, name string, resolve resolve, s sink) *branch {
	return &branch{
		o:       o,
		name:    name,
		resolve: resolve,
		sink:    s,
		log:     newLimitedLog(o.Log, name),
		ledger: ledger.New(ledger.Options{
			MaxKeys: o.MaxKeys, First: o.First / 2, Every: o.Every, Follow: o.Follow / 2, Home: o.HomeNamespace,
			Together: name != toEvents, Reasons: reasonsOf(name), Random: rand.Float64,
		}),
		wake:  make(chan struct{}, 1),
		delay: prometheus.ObserverFunc(func(float64) {}),
	}
}

// reasonsOf are those that a sink is told of.
func reasonsOf(name string) []failure.Reason {
	if name == toNotes {
		return failure.Notes()
	}

	return failure.Reasons()
}

// rouse makes run look at the schedule again.
func (b *branch) rouse() {
	select {
	case b.wake <- struct{}{}:
	default: // it will look soon anyway
	}
}

// run works until ctx ends, and then as long as something is pending, for at
// most Options.Grace. In the end it logs the failures that are left.
func (b *branch) run(ctx context.Context) {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		b.locked(func() { b.ledger.Hurry(time.Now()) })
		b.rouse()
		time.AfterFunc(b.o.Grace, stop)
	})()

	var workers sync.WaitGroup
	busy := make(chan struct{}, b.o.Workers)
	for {
		busy <- struct{}{} // long only if all workers are busy: each ends with its call
		e, ok := b.next(ctx, work)
		if !ok {
			break
		}
		workers.Go(func() {
			b.show(work, e)
			<-busy
			b.rouse()
		})
	}
	workers.Wait()
	b.logLeft()
}

// next waits for an entry that is due. It returns false when work has ended, or
// when ctx has ended and nothing is pending.
func (b *branch) next(ctx, work context.Context) (e ledger.Entry, ok bool) {
	for work.Err() == nil {
		var at time.Time
		var more, done bool
		b.locked(func() {
			e, ok = b.ledger.Due(time.Now())
			at, more = b.ledger.Next()
			done = ctx.Err() != nil && b.ledger.Pending() == 0
		})
		if ok || done {
			return e, ok
		}
		b.wait(work, at, more)
	}

	return e, false
}

// wait returns at the given time, if there is one, or earlier: after a minute at
// most, so that the ledger can forget keys while nothing fails.
func (b *branch) wait(work context.Context, at time.Time, is bool) {
	alarm := time.Minute
	if is {
		alarm = min(alarm, time.Until(at))
	}
	select {
	case <-work.Done():
	case <-b.wake:
	case <-time.After(alarm):
	}
}

// show does the next step for an entry: it finds its owner, or writes it.
func (b *branch) show(ctx context.Context, e ledger.Entry) {
	if !e.Resolved && !e.Receipt.Unclear {
		to, err := b.owner(ctx, e)
		b.handBack(e, e.Receipt, err, func() { b.ledger.Move(e, to, time.Now()) })

		return
	}
	receipt, err := b.sink.Write(ctx, e)
	if receipt.Stored > e.Receipt.Stored {
		b.delay.Observe(max(0, time.Since(e.Since).Seconds()))
	}
	b.handBack(e, receipt, err, func() { b.ledger.Settle(e, receipt, time.Now()) })
}

// owner returns the object to report an entry's failures on. If failures of
// several owners were folded, one owner that exists is enough.
func (b *branch) owner(ctx context.Context, e ledger.Entry) (failure.Ref, error) {
	if len(e.Folded) == 0 {
		return b.resolve(ctx, e.Failure, time.Since(e.Since))
	}
	var err error
	for _, o := range e.Folded {
		f := e.Failure
		f.Owner = o
		_, err = b.resolve(ctx, f, time.Since(e.Since))
		if _, invented := errors.AsType[*ledger.FinalError](err); !invented {
			break
		}
	}

	return e.Owner, err
}

// handBack hands an entry back to the ledger: with done if there was no error,
// otherwise as the error says.
func (b *branch) handBack(e ledger.Entry, receipt ledger.Receipt, err error, done func()) {
	var (
		final  *ledger.FinalError
		notYet *ledger.NotYetError
		asked  *ledger.WaitError
	)
	b.locked(func() {
		switch {
		case err == nil:
			done()
		case errors.As(err, &final):
			b.ledger.GiveUp(e, final.Cause)
		case errors.As(err, &notYet):
			b.ledger.Retry(e, receipt, time.Now())
		case errors.As(err, &asked):
			b.ledger.Refuse(e, receipt, asked.Wait, time.Now())
		default:
			b.ledger.Refuse(e, receipt, 0, time.Now())
		}
	})
	b.logOutcome(e, err)
}

func (b *branch) pending() (n int64) {
	b.locked(func() { n = b.ledger.Pending() })

	return n
}

// locked runs a short function under the lock of the ledger.
func (b *branch) locked(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}
