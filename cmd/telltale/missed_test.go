//go:build apiserver

package main

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// auditCase is a cluster with two replicas. The leader audits.
type auditCase struct {
	*cluster

	replicas []*telltale.Replica
}

// startAudit starts two replicas, and waits until one has looked at all pods. Its
// tests run beside others: mostly they wait.
func startAudit(t *testing.T, injections string, flags ...string) *auditCase {
	t.Helper()
	t.Parallel()

	c := &auditCase{cluster: startCluster(t)}
	ports := []string{harness.FreePort(t), harness.FreePort(t)}
	c.install(t, balance(t, ports...))

	for _, port := range ports {
		c.replicas = append(c.replicas, c.launch(t, port, flags...))
	}

	c.audits(t)
	c.apply(t, injections)
	c.inForce(t)

	return c
}

// audits waits until the leader has looked at all pods, and returns it.
func (c *auditCase) audits(t *testing.T) (leader *telltale.Replica) {
	t.Helper()
	harness.Eventually(t, "an audit", func(ctx context.Context) (err error) {
		for _, r := range c.replicas {
			if _, err = r.Metric(ctx, "telltale_audit_first_pass_seconds"); err == nil {
				leader = r

				return nil
			}
		}

		return err
	})

	return leader
}

// inForce waits until all Injections are in force for so long that a pod made now is
// known to be younger.
func (c *auditCase) inForce(t *testing.T) {
	t.Helper()
	harness.Eventually(t, "all Injections are in force", func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, "get", "injections,clusterinjections", "-A", "-o",
			`jsonpath={range .items[*]}{.status.observedGeneration}/{.metadata.generation} {.status.since}{"\n"}{end}`)
		if err != nil {
			return err
		}

		for line := range strings.Lines(out) {
			generations, since, _ := strings.Cut(strings.TrimSpace(line), " ")
			observed, generation, _ := strings.Cut(generations, "/")

			at, err := time.Parse(time.RFC3339, since)
			if err != nil || observed != generation || time.Since(at) < 7*time.Second {
				return fmt.Errorf("not yet: %q", line)
			}
		}

		return nil
	})
}

func (c *auditCase) stop(t *testing.T) {
	t.Helper()

	for _, r := range c.replicas {
		r.Kill()
	}
}

func (c *auditCase) start(t *testing.T) {
	t.Helper()

	for _, r := range c.replicas {
		harness.Start(t, r)
	}
}

// told returns the counts of the events of a reason, by kind and name of their
// objects.
func (c *auditCase) told(ctx context.Context, reason string) (map[string]int, error) {
	out, err := c.Kubectl(ctx, "get", "events", "-A", "--field-selector", "reason="+reason, "-o",
		`jsonpath={range .items[*]}{.involvedObject.kind}/{.involvedObject.name} {.count}{"\n"}{end}`)
	if err != nil {
		return nil, err
	}

	all := map[string]int{}

	for line := range strings.Lines(out) {
		name, count, _ := strings.Cut(strings.TrimSpace(line), " ")

		n, err := strconv.Atoi(count)
		if err != nil {
			return nil, err
		}

		all[name] += n
	}

	return all, nil
}

// tells waits until the events of a reason are these, and no others.
func (c *auditCase) tells(t *testing.T, reason string, want map[string]int) time.Duration {
	t.Helper()

	var last error

	t.Cleanup(func() {
		if t.Failed() && last != nil {
			t.Log(last)
		}
	})

	return harness.Eventually(t, "the events "+reason, func(ctx context.Context) error {
		got, err := c.told(ctx, reason)

		switch {
		case err != nil:
			return err
		case !maps.Equal(got, want):
			last = fmt.Errorf("got %v, want %v", got, want)
		default:
			last = nil
		}

		return last
	})
}

// hasPods waits until an app has so many pods.
func (c *auditCase) hasPods(t *testing.T, app string, want int) {
	t.Helper()
	c.matches(t, fmt.Sprintf(`^(\S+\n){%d}$`, want), "get", "pods", "-n", "shop", "-l", "app="+app, "-o", `jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}`)
}

// TestMissed stops all replicas, and has controllers create pods meanwhile. Each is
// shown once on its owner, and in the counts of its Injection, also after the leader
// is killed, and after all were stopped again.
func TestMissed(t *testing.T) {
	const owners, pods = 8, 3

	c := startAudit(t, envInjection("proxy", "x", "PROXY", "x")+envInjection("other", "x", "OTHER", "x"))
	// They select all of the apps.
	for _, name := range []string{"proxy", "other"} {
		c.kubectl(t, "patch", "injection", name, "-n", "shop", "--type=json", `--patch=[{"op": "replace", "path": "/spec/selector", "value": {}}]`)
	}

	c.apply(t, `{apiVersion: telltale.dev/v1alpha1, kind: ClusterInjection, metadata: {name: new}, spec: {
		selector: {}, namespaceSelector: {matchLabels: {team: new}}, env: [{name: NEW, value: x}]}}`)
	c.inForce(t)
	c.apply(t, deployment("before", pods))
	c.matches(t, fmt.Sprintf(`^(\S+,\S+=\n){%d}$`, pods), recordsOf("before")...)

	c.stop(t)

	var all strings.Builder

	want := map[string]int{"StatefulSet/db": 4, "Pod/bare": 2, "Deployment/fresh": pods}

	for i := range owners {
		all.WriteString(deployment(fmt.Sprintf("gap-%d", i), pods))
		want[fmt.Sprintf("Deployment/gap-%d", i)] = 2 * pods
	}

	c.apply(t, all.String()+workload("StatefulSet", "db", "\n  serviceName: db\n  replicas: 2\n  podManagementPolicy: Parallel"))
	c.kubectl(t, "run", "bare", "-n", "shop", "--image=x")
	c.kubectl(t, "run", "out", "-n", "shop", "--image=x", "-l", "telltale.dev/inject=disabled")
	// A namespace that is made with its first pods; they are not older than its labels.
	c.apply(t, "{apiVersion: v1, kind: Namespace, metadata: {name: fresh, labels: {team: new}}}\n"+
		strings.ReplaceAll(deployment("fresh", pods), "namespace: shop", "namespace: fresh"))
	// Many controllers annotate each pod a while later.
	c.kubectl(t, "annotate", "pod", "bare", "-n", "shop", "network.example/address=10.0.0.1")

	for i := range owners {
		c.hasPods(t, fmt.Sprintf("gap-%d", i), pods)
	}

	c.hasPods(t, "db", 2)
	c.start(t)

	took := c.tells(t, "InjectionMissed", want)
	t.Logf("%d pods of %d owners are shown %v after the start", owners*pods+3, owners+2, took)

	const missed = owners*pods + 3
	counts := fmt.Sprintf("%d %d 0 %d 0 0", missed+pods, pods, missed)
	c.output(t, counts, countsOf("proxy")...)
	c.output(t, counts, countsOf("other")...)
	c.output(t, "Restart them: kubectl rollout restart deployment/gap-0 -n shop.", "describe", "deployment", "gap-0", "-n", "shop")

	// The next leader tells nothing again, and all that is new.
	c.audits(t).Kill()

	for _, r := range c.replicas {
		if r.State() == nil {
			harness.Eventually(t, "the next leader", leads(r, 1))
		}
	}

	c.output(t, counts, countsOf("proxy")...)
	c.stop(t)
	c.kubectl(t, "scale", "deployment/gap-0", "-n", "shop", fmt.Sprintf("--replicas=%d", pods+2))
	c.kubectl(t, "delete", "pods", "-n", "shop", "-l", "app=gap-1", "--grace-period=0", "--force")
	c.hasPods(t, "gap-0", pods+2)
	c.hasPods(t, "gap-1", pods)
	c.start(t)

	want["Deployment/gap-0"] += 2 * 2
	want["Deployment/gap-1"] += 2 * pods
	c.tells(t, "InjectionMissed", want)
	c.output(t, fmt.Sprintf("%d %d 0 %d 0 0", missed+pods+2, pods, missed+2), countsOf("proxy")...)

	// A restart mends them, as the event says.
	c.audits(t)
	c.kubectl(t, "rollout", "restart", "deployment/gap-0", "-n", "shop")
	c.matches(t, fmt.Sprintf(`(\S+,\S+=\n){%d}`, pods), recordsOf("gap-0")...)
	c.tells(t, "InjectionMissed", want)
}

// countsOf asks kubectl for the counts of an Injection.
func countsOf(injection string) []string {
	return []string{
		"get", "injection", injection, "-n", "shop", "-o",
		"jsonpath={.status.pods.selected} {.status.pods.injected} {.status.pods.failed} {.status.pods.missed} {.status.pods.outdated} {.status.pods.lost}",
	}
}
