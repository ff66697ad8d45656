//go:build apiserver

package stress

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestAtSize: many workloads fail at once, each on all replicas, while other pods
// are admitted as ever.
func TestAtSize(t *testing.T) {
	n, rate, qps := scale(200, 10_000), scale(100.0, 1000), scale(100, 150)
	s := start(t, shared, fmt.Sprintf("%d Deployments fail at once on 3 replicas while %.0f pods a second are admitted", n, rate),
		"an event each, exact; each other pod injected, or counted; memory ≤ 256 MiB each", 3, 1, fmt.Sprintf("--event-qps=%d", qps))
	owners := s.deployments(t, s.namespaces[0], n)
	seen := s.watch(n)
	admitted := s.admit(rate, each(owners[:10]))
	storm := s.launch(3*n, scale(300.0, 2000), each(owners)).wait()
	shown := <-seen
	admitted.stop()
	took := time.Since(admitted.start)

	s.note("%.0f pods a second injected, %d late", float64(len(admitted.admitted))/took.Seconds(), len(admitted.answered))
	p99, most := admitted.slowest(admitted.start, time.Now())
	s.note("p99 (max) %v (%v)", p99.Round(time.Millisecond/10), most.Round(time.Millisecond/10))
	waits := s.waits(storm, shown)
	s.note("first failure to event: median %.1f s, max %.1f s", waits[len(waits)/2].Seconds(), waits[len(waits)-1].Seconds())
	s.note("all drained %.0f s later", s.drain(15*time.Minute).Seconds())
	s.answeredExactly()
	_, lookUps := s.proxy.calls()
	s.note("%d look-ups, %.2f calls a write", lookUps, s.callsPerWrite())
	for i, r := range s.replicas {
		r.end()
		s.note("replica %d: %d MiB", i, r.peak>>20)
		if r.peak > memoryBound {
			t.Errorf("%d MiB of memory", r.peak>>20)
		}
	}
}

// answeredExactly fails the test unless all failures are on events of the objects
// that must show them. If a review was late, its object has another event for that.
func (s *scenario) answeredExactly() {
	s.Helper()
	var by map[types.UID]int64
	s.failures, by = s.answered()
	s.differ(s.counts(), by)
}

// watch tells when each object of the scenario's namespace had its first event,
// once n of them have one.
func (s *scenario) watch(n int) <-chan map[types.UID]time.Time {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 20*time.Minute)
	w, err := s.api.CoreV1().Events(s.namespaces[0]).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		s.Fatal(err)
	}
	all := make(chan map[types.UID]time.Time, 1)
	var watching sync.WaitGroup
	watching.Go(func() {
		defer close(all)
		at := map[types.UID]time.Time{}
		for got := range w.ResultChan() {
			e, ok := got.Object.(*corev1.Event)
			if !ok {
				return // the watch has ended
			}
			if _, known := at[e.InvolvedObject.UID]; !known {
				at[e.InvolvedObject.UID] = time.Now()
			}
			if len(at) == n {
				all <- at

				return
			}
		}
	})
	s.Cleanup(func() {
		cancel()
		w.Stop()
		watching.Wait()
	})

	return all
}

// waits returns how long objects waited from their first failure to their event,
// the shortest first. Each must have one.
func (s *scenario) waits(st *storm, shown map[types.UID]time.Time) (waits []time.Duration) {
	s.Helper()
	failed := map[types.UID]time.Time{}
	for _, a := range st.answered {
		if first, ok := failed[a.shownOn]; !ok || a.at.Before(first) {
			failed[a.shownOn] = a.at
		}
	}
	for uid, at := range failed {
		if shown[uid].IsZero() {
			s.Fatalf("object %s has no event", uid)
		}
		waits = append(waits, shown[uid].Sub(at))
	}
	slices.Sort(waits)

	return waits
}
