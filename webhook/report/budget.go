package report

import (
	"context"
	"sync/atomic"

	"k8s.io/client-go/util/flowcontrol"
)

// budget bounds the calls a second, until it is lifted: at the end, failures
// that are not shown within the grace are lost, and Options.Workers still bounds
// the calls at the same time.
type budget struct {
	flowcontrol.RateLimiter

	lifted atomic.Bool
}

func newBudget(o Options) *budget {
	return &budget{RateLimiter: flowcontrol.NewTokenBucketRateLimiter(o.QPS, o.Burst)}
}

// Wait returns when there may be another call.
func (b *budget) Wait(ctx context.Context) error {
	if b.lifted.Load() {
		return ctx.Err()
	}

	return b.RateLimiter.Wait(ctx)
}
