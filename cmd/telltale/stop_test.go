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

// stops is a condition: all replicas say whether they inject: 0, or 1 if all
// injection is stopped.
func stops(replicas []*telltale.Replica, want float64) func(context.Context) error {
	return func(ctx context.Context) error {
		for i, r := range replicas {
			got, err := r.Metric(ctx, "telltale_stopped")
			if err == nil && got != want {
				err = fmt.Errorf("telltale_stopped of replica %d is %v", i, got)
			}

			if err != nil {
				return err
			}
		}

		return nil
	}
}

// TestStop runs the two commands of the docs. The first stops all replicas, through
// a sync of the manifests and a restart, and each Injection says so; the second
// ends it. No pod of that time is a failure, and those from before are left alone.
func TestStop(t *testing.T) {
	c, replicas, port := startTwo(t)

	// Injection deny refuses each pod that it selects: HTTP_PROXY is a conflict.
	everywhere := strings.Replace(envInjection("zone", "x", "ZONE", "a"), "kind: Injection", "kind: ClusterInjection", 1)
	c.apply(t, strings.ReplaceAll(everywhere, ", namespace: shop", "")+
		envInjection("deny", "late", "HTTP_PROXY", "other")+"  onFailure: Deny\n"+
		envInjection("region", "early", "REGION", "eu")+envInjection("region-late", "late", "REGION", "eu"))

	reasons := []string{"get", "injections,clusterinjections", "-A", "-o", `jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].reason} {end}`}
	c.output(t, strings.Repeat("InForce ", 4), reasons...)
	c.apply(t, deployment("early", 2))
	c.output(t, strings.Repeat("REGION HTTP_PROXY\n", 2), envOf("early")...)

	start := time.Now()
	c.kubectl(t, "create", "configmap", "telltale-stop", "-n", "telltale-system", "--from-literal=reason=incident 42")
	harness.Eventually(t, "all replicas stop", stops(replicas, 1))
	t.Logf("all replicas stopped %v after the command was entered", time.Since(start))
	c.output(t, strings.Repeat("Stopped ", 4), reasons...)
	t.Logf("each Ready said so %v after", time.Since(start))
	c.output(t, `ConfigMap telltale-stop in namespace telltale-system stops all injection ("incident 42"). `+
		"To end that: kubectl delete configmap telltale-stop --namespace telltale-system", "describe", "injection", "region", "-n", "shop")

	c.sync(t, port)
	replicas[0].Kill()
	harness.Start(t, replicas[0])
	harness.WaitReady(t, replicas[0])

	if err := stops(replicas, 1)(t.Context()); err != nil {
		t.Fatal(err)
	}

	c.apply(t, deployment("late", 4))
	c.output(t, strings.Repeat("HTTP_PROXY\n", 4), envOf("late")...)
	c.checkUntouched(t, replicas, "late", 4)
	c.output(t, strings.Repeat("REGION HTTP_PROXY\n", 2), envOf("early")...)

	start = time.Now()
	c.kubectl(t, "delete", "configmap", "telltale-stop", "-n", "telltale-system")
	harness.Eventually(t, "all replicas go on", stops(replicas, 0))
	t.Logf("all replicas went on %v after the command was entered", time.Since(start))
	c.output(t, strings.Repeat("InForce ", 4), reasons...)

	c.kubectl(t, "delete", "injection", "deny", "-n", "shop")
	c.kubectl(t, "delete", "pods", "-n", "shop", "-l", "app=late", "--grace-period=0", "--force")
	c.output(t, strings.Repeat("REGION HTTP_PROXY\n", 4), envOf("late")...)
}

// checkUntouched checks that an app's pods, and no others, were left untouched:
// they have no record, and nothing is a failure.
func (c *cluster) checkUntouched(t *testing.T, replicas []*telltale.Replica, app string, pods float64) {
	t.Helper()

	if got := c.kubectl(t, "get", "pods", "-n", "shop", "-l", "app="+app, "-o", "jsonpath={.items[*].metadata.annotations}"); got != "" {
		t.Errorf("pods have a record: %s", got)
	}

	untouched, failed := 0.0, 0.0

	for _, p := range replicas {
		u, err := p.Metric(t.Context(), "telltale_admission_requests_total", "untouched")
		f, failedErr := p.Metric(t.Context(), "telltale_injection_failures_total")

		if untouched, failed = untouched+u, failed+f; err != nil || failedErr != nil {
			t.Fatal(err, failedErr)
		}
	}

	if untouched != pods || failed != 0 {
		t.Errorf("%v pods are untouched, and %v failures", untouched, failed)
	}
}
