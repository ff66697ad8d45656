//go:build apiserver

package stress

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/test/harness"
)

// scenario is one row of the table.
type scenario struct {
	*testing.T
	*cluster

	proxy      *proxy
	telltale   *rest.Config // of Telltale's service account, through the proxy
	replicas   []*replica
	storms     []*storm
	namespaces []string // in which events of this scenario may be
	ending     bool     // replicas end: reviews may go unanswered
	row
}

// start makes a scenario on a cluster, with replicas of Telltale that are ready
// and namespaces of its own.
func start(t *testing.T, c *cluster, title, must string, replicas, namespaces int, flags ...string) *scenario {
	t.Helper()
	s := &scenario{T: t, cluster: c, row: row{test: t.Name(), title: title, must: must}}
	begin := time.Now()
	t.Cleanup(func() { // after the replicas have ended
		for _, r := range s.replicas {
			s.peak = max(s.peak, r.peak)
		}
		s.writes, _ = s.proxy.calls()
		s.took = time.Since(begin)
		s.held = !t.Failed()
		table.add(s.row)
		t.Log(s.row)
	})

	dir := t.TempDir()
	s.proxy, s.telltale = startProxy(t, c)
	for range namespaces {
		s.namespaces = append(s.namespaces, c.namespace(t))
	}
	for range replicas {
		r := newReplica(t, dir, s.telltale, flags...)
		r.start(t)
		s.replicas = append(s.replicas, r)
	}

	return s
}

// note adds a figure to the row.
func (s *scenario) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// answered returns the failures of all storms, by the object that must show them.
func (s *scenario) answered() (sum int64, by map[types.UID]int64) {
	s.Helper()
	by = map[types.UID]int64{}
	for _, st := range s.storms {
		st.wait().check(s.T, s.ending)
		for _, a := range st.answered {
			by[a.shownOn] += a.failures
			sum += a.failures
		}
	}

	return sum, by
}

// doubted returns the objects with failures to know the newest Injections. On a
// machine that is busy, a replica may be behind another one.
func (s *scenario) doubted() (objects int) {
	on := map[types.UID]bool{}
	for _, st := range s.storms {
		for _, a := range st.answered {
			if a.failures > 1 {
				on[a.shownOn] = true
			}
		}
	}

	return len(on)
}

// torn returns the reviews that may have been counted or not, by the object that
// would show them.
func (s *scenario) torn() (sum int64, by map[types.UID]int64) {
	by = map[types.UID]int64{}
	for _, st := range s.storms {
		for _, a := range st.torn {
			by[a.shownOn]++
			sum++
		}
	}

	return sum, by
}

// drain waits until no replica has anything pending, and returns how long that
// took.
func (s *scenario) drain(limit time.Duration) time.Duration {
	s.Helper()
	s.failures, _ = s.answered()

	return harness.Within(s.T, limit, "nothing pending", func(ctx context.Context) error {
		s.pending, s.unreported = 0, 0
		for _, r := range s.replicas {
			if r.State() != nil {
				continue // it has ended
			}
			pending, err := r.metric(ctx, "telltale_report_pending")
			if err != nil {
				return err
			}
			unreported, err := r.metric(ctx, "telltale_report_unreported_total")
			if err != nil {
				return err
			}
			s.pending += pending
			s.unreported += unreported
		}

		return want("pending", s.pending, 0)
	})
}

// events returns our events in the scenario's namespaces.
func (s *scenario) events() []corev1.Event {
	s.Helper()
	var all []corev1.Event
	for _, ns := range s.namespaces {
		list, err := s.api.CoreV1().Events(ns).List(s.Context(), ours())
		if err != nil {
			s.Fatal(err)
		}
		all = append(all, list.Items...)
	}

	return all
}

func ours() metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=telltale"}
}

// counts returns the sum of the events' counts, by the object that they are on, and
// notes it. In an event on a namespace, that object has no uid.
func (s *scenario) counts() map[types.UID]int64 {
	s.Helper()
	by := map[types.UID]int64{}
	s.shown = s.endedShown
	for _, e := range s.events() {
		by[e.InvolvedObject.UID] += int64(e.Count)
		s.shown += int64(e.Count)
		if e.Count < 1 {
			s.Errorf("event %s has count %d", e.Name, e.Count)
		}
	}

	return by
}

// exact fails the test unless each failure is on one event of the object that must
// show it, and events have nothing else. If an answer was torn, its review may be
// on another event, as InjectionTimeout.
func (s *scenario) exact() {
	s.Helper()
	var by map[types.UID]int64
	s.failures, by = s.answered()
	torn, tornBy := s.torn()
	got := s.counts()
	for uid, n := range tornBy {
		if more := got[uid] - by[uid]; more > 0 {
			by[uid] += min(n, more)
		}
	}
	s.differ(got, by)
	doubted := s.doubted() // and for each of these, another reason and so another event
	if n := len(s.events()); n < len(by) || n > len(by)+doubted+int(torn) {
		s.Errorf("%d events, want %d: one an owner", n, len(by)+doubted)
	}
	if s.shown < s.failures || s.shown > s.failures+torn {
		s.Errorf("%d failures, %d shown", s.failures, s.shown)
	}
	if doubted > 0 {
		s.note("%d owners have pods that may need newer Injections", doubted)
	}
	if torn > 0 {
		s.note("%d answers torn, %d of them shown", torn, s.shown-s.failures)
	}
}

// differ names the objects with wrong counts.
func (s *scenario) differ(got, wanted map[types.UID]int64) {
	s.Helper()
	wrong := 0
	for uid := range merged(got, wanted) {
		if got[uid] == wanted[uid] {
			continue
		}
		wrong++
		if wrong <= 5 {
			s.Errorf("object %q shows %d failures, and has %d", uid, got[uid], wanted[uid])
		}
	}
	if wrong > 5 {
		s.Errorf("... and so for %d objects", wrong)
	}
}

func merged(a, b map[types.UID]int64) map[types.UID]bool {
	m := map[types.UID]bool{}
	for uid := range a {
		m[uid] = true
	}
	for uid := range b {
		m[uid] = true
	}

	return m
}

// sum is a metric's value on all replicas together.
func (s *scenario) sum(name string, label ...string) (sum int64, err error) {
	for _, r := range s.replicas {
		n, err := r.metric(s.Context(), name, label...)
		if err != nil {
			return 0, err
		}
		sum += n
	}

	return sum, nil
}
