//go:build apiserver

package stress

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/test/harness"
)

// grace is how long a pod of Telltale has to end.
//
// Source: terminationGracePeriodSeconds, config/manager/manager.yaml, less the time
// of its preStop hook.
const grace = 30 * time.Second

// TestReplicas: three of them write the same events.
func TestReplicas(t *testing.T) {
	t.Parallel()
	s := start(t, shared, "3 replicas on the same owners", "one event an owner, exact; ≤ 2 calls a write", 3, 1)
	owners := s.deployments(t, s.namespaces[0], scale(20, 100))
	s.launch(0, 300, each(append(owners, owners[0]))).endAfter(scale(5*time.Second, 30*time.Second))
	s.note("drained in %.0f s", s.drain(harness.Patience).Seconds())
	s.exact()
	calls := s.callsPerWrite()
	s.note("%.2f calls a write", calls)
	if calls > scale(3.0, 2) { // the short form has first writes alone
		t.Errorf("%.2f calls a write", calls)
	}
}

// callsPerWrite is how many calls the replicas made for each write of an event
// that worked.
func (s *scenario) callsPerWrite() float64 {
	s.Helper()
	by, sum := map[string]int64{}, int64(0)
	for _, result := range []string{"created", "patched", "read", "conflict", "gone", "forbidden", "throttled", "error"} {
		n, err := s.sum("telltale_report_event_writes_total", result)
		if err != nil {
			s.Fatal(err)
		}
		by[result] = n
		sum += n
	}
	s.Logf("calls: %v", by)

	return float64(sum) / float64(by["created"]+by["patched"])
}

// TestReplicasRestarted: an update of Telltale itself. Each replica shows its
// pending failures before it ends.
func TestReplicasRestarted(t *testing.T) {
	alongside(t)
	s := start(t, shared, "3 replicas, each restarted mid-storm", "one event an owner, exact", 3, 1)
	s.ending = true
	owners := s.deployments(t, s.namespaces[0], scale(20, 100))
	storm := s.launch(0, 300, each(append(owners, owners[0])))
	storm.rages(t, 300)
	pause := scale(time.Second, 12*time.Second)
	for _, r := range s.replicas {
		storm.lasts(time.Since(storm.start) + pause)
		r.terminate(t, grace)
		r.start(t)
	}
	storm.endAfter(time.Since(storm.start) + pause)
	s.drain(within(away))
	s.exact()
	s.untorn()
}

// TestTerminated: asked to end mid-storm, with admissions in flight.
func TestTerminated(t *testing.T) {
	alongside(t)
	s := start(t, shared, "SIGTERM mid-storm", "drains, tears no answer, flushes, exits 0 in its grace period; exact", 1, 1)
	s.ending = true
	storm := s.launch(0, 500, each(s.deployments(t, s.namespaces[0], scale(20, 200))))
	storm.rages(t, 300)
	storm.lasts(scale(3*time.Second, 15*time.Second))
	took := s.replicas[0].terminate(t, grace)
	storm.stop()
	s.note("ended after %.1f s", took.Seconds())
	s.exact()
	s.untorn()
}

// untorn fails the test if a review got a connection and no answer: a replica that
// is asked to end answers all reviews that reach it.
func (s *scenario) untorn() {
	s.Helper()
	for _, st := range s.storms {
		if n := len(st.torn); n > 0 {
			s.Errorf("%d answers torn, the last: %v", n, st.tore)
		}
	}
}

// TestKilled: counts that the process had not shown yet are lost with it, of one
// flush interval at most. The pods' records are not lost.
func TestKilled(t *testing.T) {
	alongside(t)
	const flushed = 10*time.Second + time.Second // the interval, and the first failure's second
	s := start(t, shared, "kill -9 mid-storm", "one flush interval of counts missing at most; each pod has its record", 1, 1)
	s.ending = true
	storm := s.launch(0, 300, each(s.deployments(t, s.namespaces[0], 20)))
	storm.rages(t, 300)
	killed := storm.lasts(scale(13*time.Second, 45*time.Second))
	s.replicas[0].kill()
	storm.stop()

	var by map[types.UID]int64
	s.failures, by = s.answered()
	got := s.counts()
	missing, most := max(0, s.failures-s.shown), storm.between(killed.Add(-flushed), time.Now())
	s.note("%d missing, of %d in the last %v", missing, most, flushed)
	if missing > most {
		t.Errorf("%d failures are missing; in the last %v there were %d", missing, flushed, most)
	}
	_, torn := s.torn()
	for uid := range merged(got, by) {
		if got[uid] > by[uid]+torn[uid] {
			t.Errorf("object %s shows %d failures, and has %d", uid, got[uid], by[uid])
		}
	}
}
