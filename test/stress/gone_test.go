//go:build apiserver

package stress

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/telltale-dev/telltale/test/harness"
)

// TestEventDeleted: failures on the deleted event stay reported, and the next event
// starts with later ones.
func TestEventDeleted(t *testing.T) {
	t.Parallel()
	s := start(t, shared, "the event deleted mid-storm", "a new event goes on; old + new is exact", 1, 1)
	storm := s.launch(0, 200, each(s.deployments(t, s.namespaces[0], 1)))
	ended := s.ended()
	storm.lasts(scale(4*time.Second, 25*time.Second))
	harness.Eventually(t, "the first event", func(ctx context.Context) error {
		list, err := s.api.CoreV1().Events(s.namespaces[0]).List(ctx, ours())
		if err == nil {
			err = want("events", int64(len(list.Items)), 1)
		}

		return err
	})
	if err := s.api.CoreV1().Events(s.namespaces[0]).DeleteCollection(t.Context(), metav1.DeleteOptions{}, ours()); err != nil {
		t.Fatal(err)
	}
	s.endedShown = s.countAt(ended)
	storm.endAfter(scale(7*time.Second, 45*time.Second))
	s.drain(harness.Patience)
	s.afterTheEnd()
}

// TestEventExpired: the same, by the API server's --event-ttl.
func TestEventExpired(t *testing.T) {
	t.Parallel()
	const ttl = 15 * time.Second
	s := start(t, ownCluster(t, "--event-ttl="+ttl.String()), "the event expired", "a new event goes on; old + new is exact", 1, 1)
	owners := s.deployments(t, s.namespaces[0], 1)
	ended := s.ended()
	s.launch(scale(100, 1000), 200, each(owners)).wait()
	s.drain(harness.Patience)
	s.endedShown = s.countAt(ended)
	s.launch(scale(50, 1000), 200, each(owners)).wait()
	s.drain(harness.Patience)
	s.afterTheEnd()
}

// ended sends the last state of the first of our events that is deleted.
func (s *scenario) ended() <-chan *corev1.Event {
	s.Helper()
	w, err := s.api.CoreV1().Events(s.namespaces[0]).Watch(s.Context(), ours())
	if err != nil {
		s.Fatal(err)
	}
	ended := make(chan *corev1.Event, 1)
	go func() {
		defer w.Stop()
		for e := range w.ResultChan() {
			if e.Type == watch.Deleted {
				ended <- e.Object.(*corev1.Event)
			}
		}
	}()

	return ended
}

// countAt waits for the end of an event, and returns its count.
func (s *scenario) countAt(ended <-chan *corev1.Event) int64 {
	s.Helper()
	select {
	case e := <-ended:
		return int64(e.Count)
	case <-time.After(harness.Patience):
		s.Fatal("no event has ended")

		return 0
	}
}

// afterTheEnd fails the test unless the new event goes on where the deleted one
// ended.
func (s *scenario) afterTheEnd() {
	s.Helper()
	s.failures, _ = s.answered()
	s.counts()
	s.note("%d on the first event", s.endedShown)
	if s.shown != s.failures || len(s.events()) != 1 || s.endedShown == 0 || s.shown == s.endedShown {
		s.Errorf("%d failures, %d shown before, %d in all, on %d events now", s.failures, s.endedShown, s.shown, len(s.events()))
	}
}

// TestNamespaceDeleted: no event can be written any more, so there is no retry.
func TestNamespaceDeleted(t *testing.T) {
	t.Parallel()
	s := start(t, shared, "namespace deleted mid-storm", "unreported{namespace_gone}, a log line, no retry, memory freed", 1, 2)
	owners := scale(5, 20)
	all := append(s.deployments(t, s.namespaces[0], owners), s.deployments(t, s.namespaces[1], owners)...)
	storm := s.launch(0, 200, each(all))
	storm.lasts(scale(2*time.Second, 15*time.Second))
	if err := s.api.CoreV1().Namespaces().Delete(t.Context(), s.namespaces[0], metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the namespace is gone", func(ctx context.Context) error {
		if _, err := s.api.CoreV1().Namespaces().Get(ctx, s.namespaces[0], metav1.GetOptions{}); err == nil {
			return errors.New("still there")
		}

		return nil
	})
	storm.stop()
	s.drain(harness.Patience)

	// The shown failures are gone with the namespace. The other namespace is as
	// before.
	var by map[types.UID]int64
	s.failures, by = s.answered()
	for _, o := range all[:owners] {
		delete(by, o.shownOn)
	}
	s.differ(s.counts(), by)
	counted := map[string]int64{}
	for _, metric := range []string{"telltale_report_reported_total", "telltale_report_unreported_total"} {
		n, err := s.replicas[0].metric(t.Context(), metric)
		if err != nil {
			t.Fatal(err)
		}
		counted[metric] = n
	}
	if sum := counted["telltale_report_reported_total"] + s.unreported; sum != s.failures || s.unreported == 0 {
		t.Errorf("%d failures: %v", s.failures, counted)
	}
	gone, err := s.replicas[0].metric(t.Context(), "telltale_report_unreported_total", "namespace_gone")
	if err != nil || gone != s.unreported {
		t.Errorf("%d of %d unreported counted as namespace_gone: %v", gone, s.unreported, err)
	}

	writes, lookUps := s.proxy.calls()
	lines := s.replicas[0].says(t, "no event can show it")
	s.note("%d unreported in %d log lines", s.unreported, lines)
	if most := 1 + int(time.Since(storm.start)/time.Minute); lines < 1 || lines > most {
		t.Errorf("%d log lines, want one, and at most %d", lines, most)
	}
	// The other namespace's owners, and the ReplicaSets that lead to them.
	if keys, err := s.replicas[0].metric(t.Context(), "telltale_report_keys"); err != nil || keys > 2*int64(owners) {
		t.Errorf("%d keys are held, want %d at most: %v", keys, 2*owners, err)
	}
	<-time.After(scale(3*time.Second, 15*time.Second)) // nothing may happen in that time
	moreWrites, moreLookUps := s.proxy.calls()
	if more := s.replicas[0].says(t, "no event can show it"); moreWrites != writes || moreLookUps != lookUps || more != lines {
		t.Errorf("still tries: %d writes, %d look-ups, %d lines more", moreWrites-writes, moreLookUps-lookUps, more-lines)
	}
}

// TestRecreated: a Deployment of the same name is another one.
func TestRecreated(t *testing.T) {
	t.Parallel()
	s := start(t, shared, "Deployment deleted and created again", "the new one starts at its own count", 1, 1)
	n, ns := scale(50, 500), s.namespaces[0]
	s.launch(n, 200, each(s.deployments(t, ns, 1))).wait()
	s.drain(harness.Patience)
	if err := s.api.AppsV1().Deployments(ns).Delete(t.Context(), "web-0", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := s.api.AppsV1().ReplicaSets(ns).Delete(t.Context(), "web-0-1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.launch(n+1, 200, each(s.deployments(t, ns, 1))).wait()
	s.drain(harness.Patience)
	s.exact()
	if out, err := s.Kubectl(t.Context(), "describe", "deployment", "web-0", "-n", ns); err != nil {
		t.Error(err)
	} else if err := contains(out, fmt.Sprintf("(x%d over ", n+1)); err != nil {
		t.Error(err)
	}
}

// TestCeiling: an event's count has 32 bits. The event says that another replica
// has counted nearly as many. (The report pipe's own tests hold that no clock
// matters: here, a process's clock can't be set back.)
func TestCeiling(t *testing.T) {
	t.Parallel()
	s := start(t, shared, "count of 2³¹ reached", "it stays there, and is not negative", 1, 1)
	owners := s.deployments(t, s.namespaces[0], 1)
	s.launch(10, 100, each(owners)).wait()
	s.drain(harness.Patience)
	events := s.events()
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"count.telltale.dev/other":"%d %s"}}}`,
		math.MaxInt32-15, time.Now().UTC().Format(time.RFC3339))
	if _, err := s.api.CoreV1().Events(s.namespaces[0]).Patch(
		t.Context(), events[0].Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	s.launch(10, 100, each(owners)).wait()
	s.drain(harness.Patience)
	for uid, n := range s.counts() {
		if n != math.MaxInt32 {
			t.Errorf("the count on %s is %d, want %d", uid, n, math.MaxInt32)
		}
	}
}
