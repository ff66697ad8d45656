//go:build apiserver

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// envInjection is a manifest: an Injection of one variable for the pods of an
// app.
func envInjection(name, app, variable, value string) string {
	return fmt.Sprintf(`---
apiVersion: telltale.dev/v1alpha1
kind: Injection
metadata: {name: %s, namespace: shop}
spec:
  selector: {matchLabels: {app: %s}}
  env: [{name: %s, value: %q}]
`, name, app, variable, value)
}

// deployment is a manifest: an app with a container that sets HTTP_PROXY.
func deployment(app string, replicas int) string {
	return fmt.Sprintf(`---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: shop}
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      containers:
      - {name: app, image: registry.example/app:1, env: [{name: HTTP_PROXY, value: own}]}
`, app, replicas)
}

// envOf asks kubectl for the variables of an app's pods.
func envOf(app string) []string {
	return []string{
		"get", "pods", "-n", "shop", "-l", "app=" + app,
		"-o", `jsonpath={range .items[*]}{.spec.containers[0].env[*].name}{"\n"}{end}`,
	}
}

const conflictText = `Injection "proxy" not applied: container "app" already sets env HTTP_PROXY. ` +
	`Remove it there, or set onConflict on the Injection. Last pod: payments-`

// TestMainJob runs the program with the rights that config/ gives it and no
// others: pods of real Deployments are injected, and `kubectl describe
// deployment` shows each failure.
func TestMainJob(t *testing.T) {
	t.Parallel()

	c, port := startInstalled(t)

	p := c.launch(t, port)
	harness.WaitReady(t, p)
	c.output(t, "LS0t", "get", "mutatingwebhookconfiguration", "telltale", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")

	c.apply(t, envInjection("mesh", "checkout", "REGION", "eu")+
		envInjection("proxy", "payments", "HTTP_PROXY", "other")+
		envInjection("nothing", "no-such-app", "A", "a"))
	c.kubectl(t, "wait", "--for=condition=Ready", "-n", "shop", "injections", "--all")
	c.apply(t, deployment("checkout", 2)+deployment("payments", 3))

	c.output(t, "REGION HTTP_PROXY\nREGION HTTP_PROXY\n", envOf("checkout")...)
	c.output(t, "HTTP_PROXY\nHTTP_PROXY\nHTTP_PROXY\n", envOf("payments")...)

	for _, args := range [][]string{
		{"describe", "deployment", "payments", "-n", "shop"},
		{"events", "--for", "deployment/payments", "-n", "shop"},
		{"get", "events", "-n", "shop"},
	} {
		c.output(t, conflictText, args...)
	}

	c.output(t, "(x3 over ", "describe", "deployment", "payments", "-n", "shop")
	c.output(t, "3", "get", "events", "-n", "shop", "-o", `jsonpath={.items[?(@.reason=="InjectionConflict")].count}`)

	// An edit and a deletion hold for pods that are created later.
	c.apply(t, envInjection("mesh", "checkout", "ZONE", "a"))
	c.kubectl(t, "wait", "--for=jsonpath={.status.observedGeneration}=2", "-n", "shop", "injection/mesh")
	c.kubectl(t, "delete", "pods", "-n", "shop", "-l", "app=checkout", "--grace-period=0", "--force")
	c.output(t, "ZONE HTTP_PROXY\nZONE HTTP_PROXY\n", envOf("checkout")...)
	c.kubectl(t, "delete", "injection", "-n", "shop", "mesh")
	harness.Eventually(t, "pods without an Injection", func(ctx context.Context) error {
		_, err := c.Kubectl(ctx, "delete", "pods", "-n", "shop", "-l", "app=checkout", "--grace-period=0", "--force")
		if err != nil {
			return err
		}

		out, err := c.Kubectl(ctx, envOf("checkout")...)
		if err == nil && out != "HTTP_PROXY\nHTTP_PROXY\n" {
			err = errors.New(out)
		}

		return err
	})

	checkMetrics(t, p)
}

// checkMetrics checks the sums in the metrics of TestMainJob.
func checkMetrics(t *testing.T, p *telltale.Replica) {
	t.Helper()

	for _, m := range []struct {
		name, label string
		want        float64
	}{
		{"telltale_injection_failures_total", "InjectionConflict", 3},
		{"telltale_injection_failures_total", "InjectionError", 0},
		{"telltale_admission_requests_total", "failed", 3},
		{"telltale_admission_requests_total", "malformed", 0},
		{"telltale_report_pending", "", 0},
		{"telltale_report_oldest_pending_seconds", "", 0},
		{"telltale_report_unreported_total", "", 0},
	} {
		label := []string{m.label}
		if m.label == "" {
			label = nil
		}

		if got, err := p.Metric(t.Context(), m.name, label...); err != nil || got != m.want {
			t.Errorf("%s{%s} is %v (%v), want %v", m.name, m.label, got, err, m.want)
		}
	}
}

// TestAPIServerGoneAtStart starts the program while the API server is away. The
// program waits, says so, is alive and not ready, and goes on when the API
// server is back.
func TestAPIServerGoneAtStart(t *testing.T) {
	t.Parallel()

	c, port := startInstalled(t)
	c.StopAPIServer()

	p := c.launch(t, port)

	if err := p.WaitUntil(t.Context(), harness.Patience, func(ctx context.Context) error {
		_, ready := telltale.Get(ctx, "http://"+p.Health+"/readyz")
		_, alive := telltale.Get(ctx, "http://"+p.Health+"/healthz")

		if ready == nil {
			return errors.New("ready without an API server")
		}

		if !strings.Contains(p.Tail(), "is the API server there") {
			return errors.New("the log does not say what it waits for")
		}

		return alive
	}); err != nil {
		t.Fatal(err)
	}

	if err := c.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}

	harness.WaitReady(t, p)
}

// TestEventsForbidden takes the rights for events away. Pods start as before,
// the number of pending failures grows, and the log says why. Once the rights
// are given back, the count is exact.
func TestEventsForbidden(t *testing.T) {
	t.Parallel()

	c, port := startInstalled(t)

	role, err := os.ReadFile("../../config/rbac/role.yaml")
	if err != nil {
		t.Fatal(err)
	}

	c.apply(t, strings.Replace(string(role), "resources: [events]", "resources: [nothing]", 1))

	p := c.launch(t, port)
	harness.WaitReady(t, p)
	c.output(t, "LS0t", "get", "mutatingwebhookconfiguration", "telltale", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")
	c.apply(t, envInjection("proxy", "payments", "HTTP_PROXY", "other"))
	c.kubectl(t, "wait", "--for=condition=Ready", "-n", "shop", "injections", "--all")
	c.apply(t, deployment("payments", 5))
	c.output(t, strings.Repeat("HTTP_PROXY\n", 5), envOf("payments")...)

	harness.Eventually(t, "pending", func(ctx context.Context) error {
		pending, err := p.Metric(ctx, "telltale_report_pending")
		if err == nil && pending != 5 {
			err = fmt.Errorf("%v are pending", pending)
		}

		if err == nil && !strings.Contains(p.Tail(), "cannot write events") {
			err = errors.New("the log does not say that events are forbidden")
		}

		return err
	})

	c.apply(t, string(role))
	c.output(t, "(x5 over ", "describe", "deployment", "payments", "-n", "shop")
	c.output(t, conflictText, "describe", "deployment", "payments", "-n", "shop")
}

// TestTwoAtOnce puts two replicas behind one address, as a Service does. There
// is one event, and its count is the sum.
func TestTwoAtOnce(t *testing.T) {
	c, replicas, _ := startTwo(t)
	c.apply(t, envInjection("proxy", "payments", "HTTP_PROXY", "other"))
	c.kubectl(t, "wait", "--for=condition=Ready", "-n", "shop", "injections", "--all")
	c.apply(t, deployment("payments", 20))

	c.output(t, "(x20 over ", "describe", "deployment", "payments", "-n", "shop")

	sum := 0.0

	for i, p := range replicas {
		n, err := p.Metric(t.Context(), "telltale_injection_failures_total")
		if err != nil || n == 0 {
			t.Errorf("replica %d counted %v (%v)", i, n, err)
		}

		sum += n
	}

	events := c.kubectl(t, "get", "events", "-n", "shop", "-o", `jsonpath={range .items[?(@.reason=="InjectionConflict")]}{.count}{"\n"}{end}`)
	if sum != 20 || events != "20\n" {
		t.Errorf("the replicas counted %v, the events' counts are %q", sum, events)
	}
}

// startTwo starts two replicas behind one port of a cluster.
func startTwo(t *testing.T) (c *cluster, replicas []*telltale.Replica, port string) {
	t.Helper()

	c = startCluster(t)
	one, two := harness.FreePort(t), harness.FreePort(t)
	port = balance(t, one, two)
	c.install(t, port)

	replicas = []*telltale.Replica{c.launch(t, one), c.launch(t, two)}
	for _, p := range replicas {
		harness.WaitReady(t, p)
	}

	c.output(t, "LS0t", "get", "mutatingwebhookconfiguration", "telltale", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")

	return c, replicas, port
}

// balance sends each connection to the next of the ports.
func balance(t *testing.T, ports ...string) string {
	t.Helper()

	return harness.Balance(t, ports...).Port
}
