//go:build apiserver

package stress

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/test/harness"
)

// away is the time after the API server's return in which all must become exact.
const away = 30 * time.Second

// TestAPIServerStopped: calls hang. Only Telltale's own workers wait for them.
func TestAPIServerStopped(t *testing.T) {
	t.Parallel()
	s := start(t, ownCluster(t), "API server stopped for 2 minutes", "no admission slower or refused; exact within 30 s", 1, 1)
	before, outage := scale(3*time.Second, 20*time.Second), scale(12*time.Second, 2*time.Minute)
	storm := s.launch(0, 200, each(s.deployments(t, s.namespaces[0], scale(20, 50))))

	stopped := storm.lasts(before)
	s.PauseAPIServer()
	t.Cleanup(s.ResumeAPIServer)
	back := storm.lasts(before + outage)
	s.ResumeAPIServer()
	storm.stop()

	s.note("exact after %.0f s", s.drain(within(away)).Seconds())
	s.exact()
	usual, usualMost := storm.slowest(storm.start.Add(before/3), stopped) // with all connections made
	p99, most := storm.slowest(stopped, back)
	s.note("p99 (max) of admissions %v (%v) before, %v (%v) meanwhile",
		usual.Round(time.Millisecond/10), usualMost.Round(time.Millisecond), p99.Round(time.Millisecond/10), most.Round(time.Millisecond))
	// An admission that waited for this API server would take seconds. A shorter
	// delay comes from other work on this machine.
	// The short form has too few to tell that in its p99.
	if *full && p99 > 2*usual+50*time.Millisecond || most > within(time.Second) {
		t.Errorf("99 of 100 admissions took %v at most before, %v meanwhile, all %v", usual, p99, most)
	}
}

// TestAPIServerKilled: calls under way may have been done, or not.
func TestAPIServerKilled(t *testing.T) {
	t.Parallel()
	s := start(t, ownCluster(t), "API server killed and restarted", "exact", 1, 1)
	storm := s.launch(0, 200, each(s.deployments(t, s.namespaces[0], scale(20, 50))))

	storm.lasts(scale(3*time.Second, 15*time.Second))
	s.StopAPIServer()
	storm.lasts(scale(6*time.Second, 30*time.Second))
	if err := s.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := time.Since(storm.start)
	storm.lasts(back + scale(3*time.Second, 15*time.Second))
	storm.stop()

	s.drain(within(away))
	s.exact()
}

// TestAPIServerGoneAtStart: the process waits for longer than any default of a
// library, and goes on without a restart.
func TestAPIServerGoneAtStart(t *testing.T) {
	t.Parallel()
	gone := scale(5*time.Second, 3*time.Minute)
	s := start(t, ownCluster(t), "API server away for 3 minutes at the start", "not ready, and lives; then ready, and exact", 1, 1)
	owners := s.deployments(t, s.namespaces[0], scale(20, 50))
	r := s.replicas[0]
	r.terminate(t, grace)
	s.StopAPIServer()
	harness.Start(t, r.Replica)
	select {
	case <-r.Done():
		t.Fatalf("ended without an API server: %v", r.State())
	case <-time.After(gone):
	}
	if r.Ready(t.Context()) == nil {
		t.Error("ready without an API server")
	}
	if err := s.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}

	back := time.Now()
	harness.WaitReady(t, r.Replica)
	s.note("ready after %.0f s", time.Since(back).Seconds())
	r.up.Store(true)
	s.launch(scale(100, 1000), 200, each(owners)).wait()
	s.drain(within(away))
	s.exact()
}

// TestCABundleForbidden: the caBundle is wrong, and Telltale may not put it right
// for minutes. Once it may, it does so soon.
func TestCABundleForbidden(t *testing.T) {
	t.Parallel()
	s := start(t, ownCluster(t), "caBundle wrong, and not Telltale's to write, for 3 minutes", "right within 30 s after", 1, 1)
	kubectl := func(args ...string) { harness.Kubectl(t, s.ControlPlane, args...) }
	const may = `[{"op": "replace", "path": "/rules/0/verbs", "value": %s}]`
	const caBundle = `[{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": ""}]`

	kubectl("patch", "clusterrole", "telltale-authority", "--type=json", "--patch", fmt.Sprintf(may, `["get", "list", "watch"]`))
	harness.Eventually(t, "taken away", func(ctx context.Context) error {
		if out, err := s.Kubectl(ctx, "auth", "can-i", "patch", "mutatingwebhookconfigurations/telltale",
			"--as=system:serviceaccount:telltale-system:telltale"); err == nil {
			return errors.New("may still: " + out)
		}

		return nil
	})
	kubectl("patch", "mutatingwebhookconfiguration", "telltale", "--type=json", "--patch", caBundle)
	<-time.After(scale(5*time.Second, 3*time.Minute))
	harness.Eventually(t, "the log says that it can't", func(context.Context) error {
		if s.replicas[0].says(t, "cannot write the caBundle") == 0 {
			return errors.New("it does not")
		}

		return nil
	})

	kubectl("patch", "clusterrole", "telltale-authority", "--type=json", "--patch", fmt.Sprintf(may, `["get", "list", "watch", "patch"]`))
	took := harness.Within(t, within(away), "right", func(ctx context.Context) error {
		out, err := s.Kubectl(ctx, "get", "mutatingwebhookconfiguration", "telltale", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")
		if err == nil && out == "" {
			err = errors.New("it is empty")
		}

		return err
	})
	s.note("right after %.0f s", took.Seconds())
}
