//go:build apiserver

package stress

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/test/harness"
)

// soak is how long TestSoak goes on. It is judged by sixths, so with less than 30
// minutes it tells less.
var soak = flag.Duration("soak", 0, "how long TestSoak goes on; 0: it is left out")

// The bounds of a soak: by how much the memory and the goroutines of a replica may
// differ from those in the second sixth.
const (
	soakHeap       = 2 << 20 // bytes, of live objects after a garbage collection
	soakGoroutines = 10
)

// forgotten is how long keys that owe nothing are kept: Forget, and the minute in
// which the ledger is looked at.
//
// Source: webhook/report/internal/ledger.Options, webhook/report.branch.
const forgotten = 6 * time.Minute

// home is a namespace of a soak, and its owners.
type home struct {
	namespace string
	owners    []owner
}

// TestSoak: owners and namespaces are created, fail and are deleted, for long. The
// memory does not grow, and when all are gone, nothing of them is left.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("only with -args -soak=30m")
	}
	s := start(t, shared, fmt.Sprintf("%v of owners and namespaces that come, fail and go", *soak),
		"live heap ± 2 MiB and goroutines ± 10 after the first sixth; no keys when all are gone; the counts add up", 2, 0)
	var (
		homes   []home
		samples []sample
		owners  int
	)
	for begin := time.Now(); time.Since(begin) < *soak; {
		h := s.home(20)
		homes, owners = append(homes, h), owners+len(h.owners)
		storm := s.launch(0, 60, each(ownersOf(homes)))
		storm.lasts(time.Second)
		if len(homes) > 4 {
			s.demolish(homes[0], len(samples)%2 == 0)
			homes = homes[1:]
		}
		storm.endAfter(4 * time.Second)
		storm.client.CloseIdleConnections()
		samples = append(samples, s.sample(time.Since(begin)))
	}
	s.flat(samples)

	s.drain(harness.Patience)
	s.shownOn(homes)
	s.note("%d owners in %d namespaces", owners, owners/len(homes[0].owners))
	for _, h := range homes {
		s.demolish(h, false)
	}
	took := harness.Within(t, 2*forgotten, "no key is left", func(ctx context.Context) error {
		for _, r := range s.replicas {
			keys, err := r.metric(ctx, "telltale_report_keys")
			if err != nil {
				return err
			}
			if err := want("keys", keys, 0); err != nil {
				return err
			}
		}

		return nil
	})
	s.note("no keys %.0f s after the last is gone", took.Seconds())
}

// home makes a namespace with n Deployments.
func (s *scenario) home(n int) home {
	s.Helper()
	h := home{namespace: s.namespace(s.T)}
	h.owners = s.deployments(s.T, h.namespace, n)

	return h
}

func ownersOf(homes []home) (all []owner) {
	for _, h := range homes {
		all = append(all, h.owners...)
	}

	return all
}

// demolish deletes a namespace. If asked to, it deletes its owners first.
func (s *scenario) demolish(h home, ownersFirst bool) {
	s.Helper()
	ctx, none, all := s.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}
	if ownersFirst {
		if err := s.api.AppsV1().ReplicaSets(h.namespace).DeleteCollection(ctx, none, all); err != nil {
			s.Fatal(err)
		}
		if err := s.api.AppsV1().Deployments(h.namespace).DeleteCollection(ctx, none, all); err != nil {
			s.Fatal(err)
		}
	}
	if err := s.api.CoreV1().Namespaces().Delete(ctx, h.namespace, none); err != nil {
		s.Fatal(err)
	}
}

// shownOn fails the test unless each failure of the owners that are left is on
// their events, and each failure is counted.
func (s *scenario) shownOn(homes []home) {
	s.Helper()
	var by map[types.UID]int64
	s.failures, by = s.answered()
	left := map[types.UID]int64{}
	for _, h := range homes {
		s.namespaces = append(s.namespaces, h.namespace)
		for _, o := range h.owners {
			if n := by[o.shownOn]; n > 0 {
				left[o.shownOn] = n
			}
		}
	}
	s.differ(s.counts(), left)
	counted, err := s.sum("telltale_injection_failures_total")
	if err != nil {
		s.Fatal(err)
	}
	reported, err := s.sum("telltale_report_reported_total")
	if err != nil {
		s.Fatal(err)
	}
	if counted != s.failures || reported+s.unreported != s.failures {
		s.Errorf("%d failures: %d counted, %d reported, %d unreported", s.failures, counted, reported, s.unreported)
	}
	s.shown = reported
}

// sample is the state of the replicas at a time.
type sample struct {
	at   time.Duration // since the start
	what []state
}

// state is that of a replica: the memory in bytes. heap is what the last garbage
// collection left.
type state struct{ heap, resident, goroutines, keys float64 }

func (s *scenario) sample(at time.Duration) sample {
	s.Helper()
	this := sample{at: at}
	for _, r := range s.replicas {
		var st state
		for name, to := range map[string]*float64{
			"go_gc_heap_live_bytes": &st.heap, "process_resident_memory_bytes": &st.resident,
			"go_sched_goroutines_goroutines": &st.goroutines, "telltale_report_keys": &st.keys,
		} {
			var err error
			if *to, err = r.Metric(s.Context(), name); err != nil {
				s.Fatal(err)
			}
		}
		this.what = append(this.what, st)
	}

	return this
}

// flat fails the test if the means of a later sixth differ too much from those of
// the second: in the first, caches fill.
func (s *scenario) flat(samples []sample) {
	s.Helper()
	for i := range s.replicas {
		var sixths []state
		for k := range 6 {
			sixths = append(sixths, mean(samples, i, *soak*time.Duration(k)/6, *soak*time.Duration(k+1)/6))
		}
		text := ""
		for _, st := range sixths {
			text += fmt.Sprintf(" %.1f/%.1f/%.0f/%.0f", st.heap/(1<<20), st.resident/(1<<20), st.goroutines, st.keys)
		}
		s.Logf("replica %d, by sixths: live heap (MiB)/resident (MiB)/goroutines/keys:%s", i, text)
		second, last := sixths[1], sixths[5]
		s.note("replica %d: live heap %.1f → %.1f MiB, resident %.1f → %.1f MiB, goroutines %.0f → %.0f", i,
			second.heap/(1<<20), last.heap/(1<<20), second.resident/(1<<20), last.resident/(1<<20), second.goroutines, last.goroutines)
		for k, st := range sixths[2:] {
			if d := st.heap - second.heap; max(d, -d) > soakHeap {
				s.Errorf("replica %d, sixth %d: live heap %+.1f MiB", i, k+3, d/(1<<20))
			}
			if d := st.goroutines - second.goroutines; max(d, -d) > soakGoroutines {
				s.Errorf("replica %d, sixth %d: %+.0f goroutines", i, k+3, d)
			}
		}
	}
}

// mean is the mean state of a replica from a time to another.
func mean(samples []sample, replica int, from, to time.Duration) (m state) {
	n := 0.0
	for _, s := range samples {
		if s.at >= from && s.at < to {
			st := s.what[replica]
			m.heap, m.resident = m.heap+st.heap, m.resident+st.resident
			m.goroutines, m.keys = m.goroutines+st.goroutines, m.keys+st.keys
			n++
		}
	}

	return state{m.heap / n, m.resident / n, m.goroutines / n, m.keys / n}
}
