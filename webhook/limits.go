package webhook

import (
	"context"
	"errors"
	"net/http"
	"runtime"
)

const (
	// maxReview is the largest review, in bytes. controller-runtime has the same
	// limit: twice the largest object that the API server takes (3 MiB), and a
	// little more.
	maxReview = 7 << 20
	// minBytes is the least value of Options.MaxBytes: two of the largest
	// reviews.
	minBytes = 16 << 20
)

// errOverload tells why a review is shed: there was no memory for the bytes of
// its body, there was no slot, or too little time was left.
var errOverload = errors.New("too many admissions in flight")

// sizeOf is the number of bytes that a request takes of Options.MaxBytes. The
// API server says how long its body is. If a caller does not, sizeOf expects
// the longest.
func sizeOf(req *http.Request) int64 {
	if req.ContentLength < 0 {
		return maxReview
	}

	return min(req.ContentLength, maxReview)
}

// takeBytes waits until the body of a request may be read, and tells whether it
// may. If there is no need to wait, the body may be read even after ctx has
// ended.
func (in *Injector) takeBytes(ctx context.Context, size int64) bool {
	return in.bytes.TryAcquire(size) || in.bytes.Acquire(ctx, size) == nil
}

// takeSlot counts a review as in flight, unless there are too many. After
// taking a slot it yields, so that waiting goroutines are counted too. Without
// this, no more than GOMAXPROCS would ever be counted, because nothing on the
// way blocks.
//
// A review is counted after its body is read, and not before: the slots limit
// work, and before that there is none. If slots were taken earlier, a caller
// that sends nothing could hold one. Options.MaxBytes and a deadline limit such
// callers.
func (in *Injector) takeSlot() bool {
	if !in.slots.TryAcquire(1) {
		return false
	}

	runtime.Gosched()

	return true
}
