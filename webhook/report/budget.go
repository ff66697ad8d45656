package report

import (
	"context"
	"sync/atomic"

	"k8s.io/client-go/util/flowcontrol"
)

// budget limits the calls a second. At the end it is lifted: failures that are
// not shown within the grace are lost, and Options.Workers still limits the
// calls at the same time.
type budget struct {
	flowcontrol.RateLimiter

	lifted atomic.Bool
}

func newBudget(o Options) *budget {
	return &budget{RateLimiter: flowcontrol.NewTokenBucketRateLimiter(o.QPS, o.Burst)}
}

// Wait returns when another call may be made.
func (b *budget) Wait(ctx context.Context) error {
	if b.lifted.Load() {
		return ctx.Err()
	}

	return b.RateLimiter.Wait(ctx)
}
