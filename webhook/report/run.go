package report

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/event"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
	"github.com/telltale-dev/telltale/webhook/report/internal/owner"
)

// Run shows failures until ctx ends, then shows what is pending for at most
// Options.Grace, logs what is left, and returns nil. It must outlive whatever
// calls Report, and be called once.
func (r *Reporter) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		r.budget.lifted.Store(true)
		r.locked(func() { r.ledger.Hurry(time.Now()) })
		r.rouse()
		time.AfterFunc(r.o.Grace, stop)
	})()

	var workers sync.WaitGroup
	busy := make(chan struct{}, r.o.Workers)
	for {
		busy <- struct{}{} // for long only if all are: none outlives its calls
		e, ok := r.next(ctx, work)
		if !ok {
			break
		}
		workers.Go(func() {
			r.show(work, e)
			<-busy
			r.rouse()
		})
	}
	workers.Wait()
	r.logLeft()

	return nil
}

// next waits for an entry that is due. It returns false when work has ended,
// or ctx has and nothing is pending.
func (r *Reporter) next(ctx, work context.Context) (e ledger.Entry, ok bool) {
	for work.Err() == nil {
		var at time.Time
		var more, done bool
		r.locked(func() {
			e, ok = r.ledger.Due(time.Now())
			at, more = r.ledger.Next()
			done = ctx.Err() != nil && r.ledger.Pending() == 0
		})
		if ok || done {
			return e, ok
		}
		r.wait(work, at, more)
	}

	return e, false
}

// wait returns when the time has come, if there is one, or earlier.
func (r *Reporter) wait(work context.Context, at time.Time, is bool) {
	var alarm <-chan time.Time
	if is {
		alarm = time.After(time.Until(at))
	}
	select {
	case <-work.Done():
	case <-r.wake:
	case <-alarm:
	}
}

// show does for an entry what is next: finds its owner, or writes its event.
func (r *Reporter) show(ctx context.Context, e ledger.Entry) {
	if !e.Resolved {
		to, err := r.owner(ctx, e)
		r.settle(e, e.Receipt, err, func() { r.ledger.Move(e, to, time.Now()) })

		return
	}
	receipt, err := r.write(ctx, e)
	r.settle(e, receipt, err, func() { r.ledger.Settle(e, receipt, time.Now()) })
}

// owner returns the object to report an entry's failures on.
func (r *Reporter) owner(ctx context.Context, e ledger.Entry) (failure.Ref, error) {
	if len(e.Folded) == 0 {
		return r.resolve(ctx, e.Failure, time.Since(e.Since))
	}
	var err error
	for _, o := range e.Folded {
		f := e.Failure
		f.Owner = o
		if _, err = r.resolve(ctx, f, time.Since(e.Since)); !invented(err) {
			break
		}
	}

	return e.Owner, err
}

// invented tells whether an error means that there is no such owner.
func invented(err error) bool {
	return errors.Is(err, owner.ErrNone) || errors.Is(err, owner.ErrUnconfirmed)
}

// settle hands an entry back to the ledger, with done if there was no error.
func (r *Reporter) settle(e ledger.Entry, receipt ledger.Receipt, err error, done func()) {
	cause, final := unreportable(err)
	r.locked(func() {
		switch {
		case err == nil:
			done()
		case final:
			r.ledger.GiveUp(e, cause)
		default:
			r.ledger.Retry(e, receipt, event.Wait(err), time.Now())
		}
	})
	r.logOutcome(e, err, cause)
}

// unreportable tells whether an error means that failures can never be shown.
func unreportable(err error) (ledger.Cause, bool) {
	switch {
	case errors.Is(err, owner.ErrNone):
		return ledger.NoOwner, true
	case errors.Is(err, owner.ErrUnconfirmed):
		return ledger.OwnerUnconfirmed, true
	case errors.Is(err, event.ErrNamespaceGone):
		return ledger.NamespaceGone, true
	case errors.Is(err, event.ErrInvalid):
		return ledger.EventInvalid, true
	default:
		return "", false
	}
}

// locked runs a short function under the lock of the ledger.
func (r *Reporter) locked(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}
