package canary

import (
	"context"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// term is one time with the Lease as it was read. One goroutine does all.
type term struct {
	*Canary

	lease *coordinationv1.Lease
	state state
	owes  bool // the Lease or an event could not be written
}

// term asks until ctx ends, or another process has written the Lease.
func (c *Canary) term(ctx context.Context) error {
	t := &term{Canary: c}
	if err := t.load(ctx); err != nil {
		return err
	}

	for ctx.Err() == nil {
		err := t.writeOwed(ctx)
		if apierrors.IsConflict(err) {
			return err
		}

		t.owes = t.complain(ctx, err) != nil
		t.pause(ctx)
		t.next(ctx)
	}

	return nil
}

// writeOwed writes the mark, and then the events that are owed.
func (t *term) writeOwed(ctx context.Context) error {
	if err := t.save(ctx); err != nil {
		return err
	}

	return t.tell(ctx, time.Now())
}

// pause waits for the time of the next pod.
func (t *term) pause(ctx context.Context) {
	d := t.o.Interval
	if t.owes || t.state.hurries() {
		d /= hurry
	}

	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// next makes one canary pod, and takes note of what it tells.
func (t *term) next(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}

	a := t.ask(ctx)
	if ctx.Err() != nil {
		return
	}

	_ = t.complain(ctx, a.err)

	if t.state.see(a.verdict, time.Now()) {
		t.state.found(t.look(ctx, a.took))
	}

	t.metrics.set(t.state.result())

	well := int64(0)
	if a.whole && !t.state.mark.lasts() {
		well = time.Now().UnixNano()
	}

	t.well.Store(well)
}
