package webhook

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/telltale-dev/telltale/patches"
)

const (
	// birthPatience is how long a review waits, at most and in all, for what its pod
	// requires. It is less if the API server's patience is (TestBirths).
	birthPatience = 400 * time.Millisecond
	// maxBirths is how many reviews wait at most. One more does not.
	maxBirths = 64
)

// How a wait ended: the label of telltale_admission_waits_total.
const (
	waitCame    = "came"    // all is there
	waitMissing = "missing" // it has not come
	waitFull    = "full"    // there was none, as too many wait
)

// births lets a review wait for objects that its pod requires and that may be about to
// come: with one `kubectl apply`, the namespace, the ConfigMap and the pods are made
// at nearly the same time. It is the only wait of a review for anything but its caller.
// The review has no slot meanwhile, so that others go on; its body counts as memory.
type births struct {
	// await returns nil if there is nothing to wait for, else a channel that is closed
	// when it is worth asking again.
	await   func(pod patches.Traits, namespace string) <-chan struct{}
	waiting *semaphore.Weighted
	waits   *prometheus.CounterVec
}

func newBirths(o Options) births {
	b := births{await: o.Await, waiting: semaphore.NewWeighted(maxBirths), waits: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "telltale_admission_waits_total",
		Help: "Reviews that lacked an object which may have been about to come: came in time, missing all the same, or full: too many waited.",
	}, []string{"outcome"})}
	o.Registerer.MustRegister(b.waits)

	for _, outcome := range []string{waitCame, waitMissing, waitFull} {
		b.waits.WithLabelValues(outcome)
	}

	return b
}

// enter returns a channel, and takes a place, if a review is to wait. Then call wait.
func (b births) enter(r *Review) <-chan struct{} {
	changed := b.lacks(r)
	if changed == nil {
		return nil
	}

	if !b.waiting.TryAcquire(1) {
		b.waits.WithLabelValues(waitFull).Inc()

		return nil
	}

	return changed
}

// lacks returns a channel if a review is to wait. A dry run is not: nothing is made.
func (b births) lacks(r *Review) <-chan struct{} {
	if r.Pod == nil || r.DryRun || r.Pod.IsMirror() {
		return nil
	}

	return b.await(r.Pod.Traits(), r.Namespace)
}

// wait returns when all is there, at the latest at a deadline, and gives the place back.
func (b births) wait(ctx context.Context, r *Review, changed <-chan struct{}, deadline time.Time) {
	defer b.waiting.Release(1)

	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()

	for changed != nil {
		select {
		case <-changed:
			changed = b.lacks(r)
		case <-ctx.Done():
			b.waits.WithLabelValues(waitMissing).Inc()

			return
		}
	}

	b.waits.WithLabelValues(waitCame).Inc()
}
