//go:build apiserver

package stress

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/telltale-dev/telltale/test/harness"
)

func contains(text, part string) error {
	if !strings.Contains(text, part) {
		return fmt.Errorf("want %q in:\n%s", part, text)
	}

	return nil
}

// TestForged: reviews that no API server sent.
func TestForged(t *testing.T) {
	t.Parallel()
	qps := scale(50, 150)
	s := start(t, shared, "forged reviews", "no event on anyone; all unreported; memory and reads bounded; real failures exact", 1, 2,
		fmt.Sprintf("--event-qps=%d", qps))
	owners := s.deployments(t, s.namespaces[0], scale(5, 50))
	invented := scale(1000, 100_000)
	// The real owners are known, as in a cluster that has run for a while.
	s.launch(len(owners), 100, each(owners)).wait()
	s.drain(harness.Patience)

	forged := s.launch(invented, scale(500.0, 2000), func(i int) owner { return s.forge(i, owners[i%len(owners)]) })
	s.launch(0, 20, each(owners)).endAfter(scale(2*time.Second, 50*time.Second))
	forged.wait()
	s.note("drained in %.0f s", s.drain(15*time.Minute).Seconds())

	_, by := s.answered()
	forgedSum := by[""]
	delete(by, "")
	got := s.counts()
	s.note("%d of %d forged are on events", got[""], forgedSum)
	s.differ(got, by)
	if s.unreported != forgedSum {
		t.Errorf("%d failures of forged reviews, %d unreported", forgedSum, s.unreported)
	}
	if over := s.proxy.overBudget(float64(qps), burst); over > scale(burst/2.0, burst*5/100) {
		t.Errorf("%.0f calls over the budget", over)
	}
	for _, r := range s.replicas {
		r.end()
		if r.peak > memoryBound {
			t.Errorf("%d MiB of memory", r.peak>>20)
		}
	}
}

// forge invents an owner: one that does not exist, a real one with another uid, or
// one in a namespace that does not exist.
func (s *scenario) forge(i int, of owner) owner {
	o := owner{
		apiVersion: "apps/v1", kind: "ReplicaSet", namespace: s.namespaces[1],
		name: fmt.Sprintf("forged-%d", i), uid: uuid.NewUUID(),
	}
	switch i % 10 {
	case 0:
		o.namespace, o.name = of.namespace, of.name
	case 1:
		o.namespace = "no-such-namespace"
	case 2:
		o.namespace, o.kind = "no-such-namespace", "StatefulSet"
	}

	return o
}

// TestOwnerUnresolvable: the rights to read ReplicaSets are taken away and given
// back.
func TestOwnerUnresolvable(t *testing.T) {
	t.Parallel()
	s := start(t, ownCluster(t), "owner unresolvable, then resolvable", "exact after; never on a stranger", 1, 1)
	owners := s.deployments(t, s.namespaces[0], scale(5, 50))
	giveBack := s.takeAway("replicasets")
	storm := s.launch(0, 200, each(owners))
	harness.Eventually(t, "a log line", func(context.Context) error {
		if s.replicas[0].says(t, "cannot write events: grant") == 0 {
			return errors.New("it is not said")
		}

		return nil
	})
	storm.endAfter(scale(3*time.Second, 30*time.Second))
	for uid := range s.counts() {
		if !owned(owners, uid) {
			t.Errorf("an event on a stranger, %q", uid)
		}
	}
	giveBack()
	s.note("exact after %.0f s", s.drain(within(away)).Seconds())
	s.exact()
}

func owned(owners []owner, uid types.UID) bool {
	for _, o := range owners {
		if uid == o.uid || uid == o.shownOn {
			return true
		}
	}

	return false
}
