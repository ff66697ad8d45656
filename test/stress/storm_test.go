//go:build apiserver

package stress

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/test/harness"
)

// TestStorm: all pods of a Deployment fail, in a loop.
func TestStorm(t *testing.T) {
	s := start(t, shared, "storm on one Deployment", "one event, exact, ≤ 20 writes, the first within 1 s", 1, 1)
	storming(s, s.deployments(t, s.namespaces[0], 1))
	if writes, _ := s.proxy.calls(); writes > 20 {
		t.Errorf("%d writes, want 20 at most", writes)
	}
}

// TestRollout: each pod has another name and ReplicaSet. The look-ups of the
// ReplicaSets take the time.
func TestRollout(t *testing.T) {
	s := start(t, shared, "the same, each from another ReplicaSet", "one event, exact, the first within 1 s", 1, 1, "--event-qps=400")
	storming(s, s.rollout(t, s.namespaces[0], scale(500, 10_000)))
}

func storming(s *scenario, owners []owner) {
	s.Helper()
	first := s.firstEvent()
	storm := s.launch(scale(1000, 10_000), scale(500.0, 3000), each(owners)).wait()
	if took := storm.answered[len(storm.answered)-1].at.Sub(storm.start); took > within(5*time.Second) {
		s.Errorf("this machine is too slow: the storm took %v", took)
	}
	s.drain(5 * time.Minute)
	s.exact()
	after := (<-first).Sub(storm.answered[0].at)
	s.note("first event after %.2f s", after.Seconds())
	if after > within(time.Second) {
		s.Errorf("the first event came after %v", after)
	}
}

// firstEvent tells when the scenario's namespace has its first event.
func (s *scenario) firstEvent() <-chan time.Time {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), harness.Patience)
	s.Cleanup(cancel)
	w, err := s.api.CoreV1().Events(s.namespaces[0]).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		s.Fatal(err)
	}
	first := make(chan time.Time, 1)
	go func() {
		defer close(first)
		defer w.Stop()
		if _, ok := <-w.ResultChan(); ok {
			first <- time.Now()
		}
	}()

	return first
}
