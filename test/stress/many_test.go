//go:build apiserver

package stress

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// burst is how many calls a Telltale may make at once after a quiet time, on top
// of its budget.
const burst = 100

// TestManyDeployments: all workloads are deployed anew. The budget of calls holds,
// and only the budget decides how long it takes.
func TestManyDeployments(t *testing.T) {
	alongside(t)
	owners, failures, qps := scale(200, 5000), 10, scale(50, 150)
	s := start(t, shared, fmt.Sprintf("%d Deployments × %d in a minute", owners, failures),
		"an event each, exact; the budget of writes; drained in the time it predicts ± 20 %", 1, 1, fmt.Sprintf("--event-qps=%d", qps))
	all := s.deployments(t, s.namespaces[0], owners)
	n := owners * failures
	storm := s.launch(n, float64(n)/scale(1.0, 55), func(i int) owner { return all[i/failures] }).wait()
	s.drain(10 * time.Minute)
	took := time.Since(storm.answered[0].at)
	s.exact()

	writes, lookUps := s.proxy.calls()
	if over := s.proxy.overBudget(float64(qps), burst); over > scale(burst/2.0, burst*5/100) {
		t.Errorf("%.0f calls over the budget", over)
	}
	if writes > owners*11/10 || lookUps > owners*11/10 {
		t.Errorf("%d look-ups and %d writes for %d owners", lookUps, writes, owners)
	}
	predicted := time.Duration(float64(2*owners-burst) / float64(qps) * float64(time.Second))
	s.note("drained in %.0f s, predicted %.0f s", took.Seconds(), predicted.Seconds())
	slack := predicted/5 + time.Second // first failures wait for others
	if took > within(predicted+slack) || took < predicted-slack {
		t.Errorf("drained in %v, predicted were %v", took, predicted)
	}
}

// memoryBound is what the README states for 10,000 keys, and the limit of
// config/manager.
const memoryBound = 256 << 20

// TestBound: more owners than are told apart. Failures of the others are folded,
// and shown on the namespace.
func TestBound(t *testing.T) {
	t.Parallel()
	owners, keys, namespaces := scale(2000, 50_000), scale(500, 10_000), scale(5, 50)
	s := start(t, shared, fmt.Sprintf("%d owners, %d keys", owners, keys),
		"memory ≤ 256 MiB; the sum is exact; folded failures are on their namespace", 1, namespaces, bounds(keys)...)
	bounded(s, owners)
	for _, r := range s.replicas {
		r.end()
		if r.peak > memoryBound {
			t.Errorf("%d MiB of memory", r.peak>>20)
		}
	}
}

func bounds(keys int) []string {
	return []string{"--max-event-keys=" + strconv.Itoa(keys), "--event-qps=400"}
}

// bounded has each of so many owners fail once. There are more than keys.
func bounded(s *scenario, owners int) {
	s.Helper()
	t, namespaces := s.T, len(s.namespaces)
	all := make([]owner, owners)
	namespaceOf := map[types.UID]string{}
	parallel(t, owners, func(ctx context.Context, i int) (err error) {
		all[i], err = s.replicaSet(ctx, s.namespaces[i%namespaces], fmt.Sprintf("web-%d", i), nil)

		return err
	})
	for _, o := range all {
		namespaceOf[o.uid] = o.namespace
	}
	s.launch(owners, scale(1000.0, 2000), each(all))
	s.drain(10 * time.Minute)

	shown, folded := map[string]int64{}, int64(0)
	for _, e := range s.events() {
		shown[e.Namespace] += int64(e.Count)
		switch {
		case e.InvolvedObject.Kind == "Namespace" && e.InvolvedObject.Name == e.Namespace:
			folded += int64(e.Count)
		case e.Count != 1 || namespaceOf[e.InvolvedObject.UID] != e.Namespace:
			t.Errorf("an event on %s %s has count %d", e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Count)
		}
	}
	for _, ns := range s.namespaces {
		if err := want("shown in "+ns, shown[ns], int64(owners/namespaces)); err != nil {
			t.Error(err)
		}
	}
	s.counts()
	s.note("%d on namespaces", folded)
	if folded == 0 {
		t.Error("nothing was folded: the bound was not reached")
	}
}
