package webhook

import (
	"context"
	"errors"
	"net/http"
	"runtime"
)

const (
	// maxReview is how large a review may be, in bytes. It is what
	// controller-runtime reads, too: twice the largest object the API server
	// takes (3 MiB), and a little.
	maxReview = 7 << 20
	// minBytes is Options.MaxBytes at least: two of the largest reviews.
	minBytes = 16 << 20
)

// errOverload is why a review is shed: the bytes of its body did not fit into
// memory, there was no slot, or too little time was left.
var errOverload = errors.New("too many admissions in flight")

// sizeOf is how many bytes of Options.MaxBytes a request takes. The API server
// tells how long its body is; if a caller does not, the longest is expected.
func sizeOf(req *http.Request) int64 {
	if req.ContentLength < 0 {
		return maxReview
	}

	return min(req.ContentLength, maxReview)
}

// takeBytes waits until the body of a request may be read, and tells whether it
// may. If it need not wait, it may even when ctx has ended.
func (in *Injector) takeBytes(ctx context.Context, size int64) bool {
	return in.bytes.TryAcquire(size) || in.bytes.Acquire(ctx, size) == nil
}

// takeSlot counts a review as in flight, unless there are too many. After taking
// a slot it yields, so that waiting goroutines are counted too. Otherwise no
// more than GOMAXPROCS would ever be counted, for nothing on the way blocks.
//
// A review is counted once its body is read, and not before: the slots bound
// work, and until then there is none. A caller that sends nothing could hold a
// slot that is taken earlier; there, Options.MaxBytes and a deadline are the
// bounds.
func (in *Injector) takeSlot() bool {
	if !in.slots.TryAcquire(1) {
		return false
	}

	runtime.Gosched()

	return true
}
