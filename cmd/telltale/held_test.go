//go:build apiserver

package main

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// TestEndsInTrial ends the replica that answers, in an orderly way, while a trial goes
// on: the leader can't look at it. The replica holds the failures of the trial. It
// waits for the outcome, and reports them.
func TestEndsInTrial(t *testing.T) {
	t.Parallel()

	const pods = 3

	c := startCluster(t)
	ports := []string{harness.FreePort(t), harness.FreePort(t)}
	c.install(t, ports[0])

	other := c.launch(t, ports[1])
	harness.Eventually(t, "a leader", leads(other, 1))

	r := c.launch(t, ports[0])
	harness.WaitReady(t, r)
	c.apply(t, noContainer("wait")+containerInjection("waits", "checkout", "wait")+envInjection("probe", "probe", "PROBE", "yes"))
	c.kubectl(t, "wait", "--for=condition=Ready", "-n", "shop", "injections", "--all")
	c.injectedAgain(t, "probe", "PROBE")
	c.refuses(t, "wait", true)

	c.apply(t, deployment("checkout", pods))
	c.inTrial(t, other)
	c.pods(t, "checkout", pods, "=waits@")
	r.Signal(syscall.SIGTERM)
	harness.Eventually(t, "it no longer serves", func(ctx context.Context) error {
		if r.Ready(ctx) == nil {
			return fmt.Errorf("it is ready")
		}

		return nil
	})
	other.Signal(syscall.SIGCONT)

	<-r.Done()

	if !r.State().Success() {
		t.Errorf("it ended with %v", r.State())
	}

	c.matches(t, fmt.Sprintf(`InjectionRefused .*\(x%d over .*Injection "waits" not applied`, pods), "describe", "deployment", "checkout", "-n", "shop")
}

// inTrial waits until a trial is known to the API server, and stops the leader then
// and there.
func (c *cluster) inTrial(t *testing.T, leader *telltale.Replica) {
	t.Helper()

	const pause = 10 * time.Millisecond // a trial may be short

	var last error

	err := wait.PollUntilContextTimeout(t.Context(), pause, harness.Patience, true, func(ctx context.Context) (bool, error) {
		leader.Signal(syscall.SIGSTOP)

		out, err := c.Kubectl(ctx, "get", "injection", "waits", "-n", "shop", "-o", "jsonpath={.status.withdrawn[*].phase}")
		if err == nil && strings.TrimSpace(out) == "Trial" {
			return true, nil
		}

		leader.Signal(syscall.SIGCONT)

		last = fmt.Errorf("the phase is %q: %w", out, err)

		return false, nil
	})
	if err != nil {
		t.Fatalf("there is no trial: %v", last)
	}
}
