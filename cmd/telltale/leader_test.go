//go:build apiserver

package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// leads is a condition: the replica says whether it is the leader: 1, or 0.
func leads(r *telltale.Replica, want float64) func(context.Context) error {
	return func(ctx context.Context) error {
		got, err := r.Metric(ctx, "telltale_leader")
		if err == nil && got != want {
			err = fmt.Errorf("telltale_leader is %v", got)
		}

		return err
	}
}

// TestLeader kills the leader of two, and then takes the API server away for
// longer than its Lease lasts: status is written all the same, by one, and no
// process ends.
func TestLeader(t *testing.T) {
	t.Parallel()

	c := startCluster(t)
	one, two := harness.FreePort(t), harness.FreePort(t)
	c.install(t, balance(t, one, two))

	first := c.launch(t, one)
	harness.Eventually(t, "a leader", leads(first, 1))

	second := c.launch(t, two)
	harness.WaitReady(t, second)
	harness.Eventually(t, "one leader", leads(second, 0))

	ready := func(name string) {
		t.Helper()
		c.apply(t, envInjection(name, "checkout", "REGION", "eu"))
		c.kubectl(t, "wait", "--for=condition=Ready", "-n", "shop", "injection/"+name)

		managers := c.kubectl(t, "get", "injection", name, "-n", "shop", "--show-managed-fields", "-o",
			`jsonpath={range .metadata.managedFields[?(@.subresource=="status")]}{.manager} {end}`)
		if strings.TrimSpace(managers) != "telltale-status" {
			t.Errorf("the status of %s is of %q", name, managers)
		}
	}

	ready("before")
	first.Kill()
	took := harness.Eventually(t, "the next leader", leads(second, 1))
	t.Logf("the next leader leads %v after the kill", took)
	ready("after-kill")

	const away = 20 * time.Second // longer than the Lease

	c.StopAPIServer()
	harness.Eventually(t, "no leader", leads(second, 0))

	select {
	case <-second.Done():
		t.Fatal("the process ended")
	case <-time.After(away):
	}

	if err := c.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}

	harness.Eventually(t, "a leader again", leads(second, 1))
	ready("after-outage")

	if state := second.State(); state != nil {
		t.Errorf("the process ended: %v", state)
	}
}
