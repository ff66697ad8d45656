package report

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// BenchmarkReport measures the cost of a failure for its admission: at most a
// microsecond, without allocation, however many keys there are. Many keys cost
// more than one only because they do not fit into the CPU's cache.
func BenchmarkReport(b *testing.B) {
	for _, keys := range []int{1, 10_000} {
		failures := make([]failure.Failure, keys)
		for i := range failures {
			failures[i] = conflict("ReplicaSet", fmt.Sprintf("web-%d", i))
		}
		b.Run(fmt.Sprintf("%dKeys", keys), func(b *testing.B) {
			r := reporter(Options{MaxKeys: keys}, newWrites())
			for _, f := range failures {
				r.Report(f)
			}
			var goroutine atomic.Int64
			b.SetParallelism(8)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := int(goroutine.Add(1)) * 1237; pb.Next(); i++ {
					r.Report(failures[i%keys])
				}
			})
		})
	}
}

// TestReportAllocates: a failure of a known key allocates nothing, whether the
// key is the owner's or that of a reference that was moved to it.
func TestReportAllocates(t *testing.T) {
	r := reporter(Options{}, newWrites())
	f := conflict("ReplicaSet", "web")
	r.Report(f)
	if n := testing.AllocsPerRun(1000, func() { r.Report(f) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	e, ok := r.branches[0].ledger.Due(time.Now().Add(time.Second))
	if !ok {
		t.Fatal("nothing is due")
	}
	r.branches[0].ledger.Move(e, conflict("Deployment", "web").Owner, time.Now())
	if n := testing.AllocsPerRun(1000, func() { r.Report(f) }); n > 0 {
		t.Errorf("%v allocations once moved", n)
	}
}
