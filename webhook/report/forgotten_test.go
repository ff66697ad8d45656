package report

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestForgotten: the memory follows the owners that fail now. When nothing fails
// any more, no key is left, though nothing else happens.
func TestForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _, _, end := started(t, Options{})
		keys := func() (n int) {
			r.branches[0].locked(func() { n = r.branches[0].ledger.Stats().Keys })

			return n
		}
		most := 0
		for i := range 600 {
			r.Report(conflict("StatefulSet", fmt.Sprintf("db-%d", i)))
			time.Sleep(time.Second)
			most = max(most, keys())
		}
		if most > 7*60 {
			t.Errorf("%d keys, want those of the last seven minutes at most", most)
		}
		time.Sleep(7 * time.Minute)
		synctest.Wait()
		if n := keys(); n != 0 {
			t.Errorf("%d keys are left", n)
		}
		end()
	})
}
