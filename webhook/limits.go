package webhook

import (
	"errors"
	"runtime"
)

// minBytes is the least value of Options.MaxBytes: two of the largest reviews.
const minBytes = 16 << 20

// errOverload tells why a review is shed: there was no memory for the bytes of
// its body, there was no slot, or too little time was left.
var errOverload = errors.New("too many admissions in flight")

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
