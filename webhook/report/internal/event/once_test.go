//go:build apiserver

package event

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// TestOnce: several writers find failures of the same pods, as leaders do one after
// the other. Their calls come in any order, and end in any way. The count is always
// the sum of the annotations, no pod is named twice, and at the end the count is the
// number of pods.
func TestOnce(t *testing.T) {
	t.Parallel()
	const writers, times, pods = 4, 6, 40
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			i := interleaving{
				T: t, ns: namespace(t), rand: rand.New(rand.NewPCG(seed, 13)),
				turns: turns{asked: make(chan *turn), ended: make(chan struct{})},
			}
			found, steps := map[string]bool{}, make([][]ledger.Entry, writers)
			for n := range steps {
				e, next := entry(i.ns, 0), i.rand.Perm(pods)
				for range times {
					more := 1 + i.rand.IntN(4)
					for _, pod := range next[:more] {
						e.Once = append(e.Once, fmt.Sprintf("pod%d", pod))
						found[fmt.Sprintf("pod%d", pod)] = true
					}
					next, e.Total = next[more:], e.Total+int64(more)
					steps[n] = append(steps[n], e)
				}
			}
			i.run(steps, int(fates), false)
			ev := wantCount(t, i.ns, int64(len(found)))
			named := map[string]bool{}
			for k, v := range ev.Annotations {
				if !strings.HasPrefix(k, failure.OncePrefix) {
					continue
				}
				for pod := range strings.SplitSeq(v, ",") {
					if named[pod] || !found[pod] {
						t.Errorf("%s is named twice, or was not found", pod)
					}
					named[pod] = true
				}
			}
			if len(named) != len(found) {
				t.Errorf("%d pods are named, of %d", len(named), len(found))
			}
		})
	}
}
