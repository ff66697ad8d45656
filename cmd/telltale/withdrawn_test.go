//go:build apiserver

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// refusalCase is a cluster with two replicas, for the cases of TestWithdrawn.
type refusalCase struct {
	*cluster

	replicas []*telltale.Replica
	ports    []string
}

// TestWithdrawn has the API server refuse pods in many ways, with real controllers,
// and tells apart the refusals that an Injection is to blame for.
func TestWithdrawn(t *testing.T) {
	t.Parallel()

	c := &refusalCase{cluster: startCluster(t), ports: []string{harness.FreePort(t), harness.FreePort(t)}}
	c.install(t, balance(t, c.ports...))

	for _, port := range c.ports {
		r := c.launch(t, port)
		harness.Eventually(t, "the API server says that Telltale serves", r.Ready)
		c.replicas = append(c.replicas, r)
	}

	c.apply(t, envInjection("probe", "probe", "PROBE", "yes"))
	c.injectedAgain(t, "probe", "PROBE")

	for _, step := range []struct {
		name string
		run  func(*refusalCase, *testing.T)
	}{
		{"NotOurs", (*refusalCase).notOurs},
		{"Kinds", (*refusalCase).kinds},
		{"TwoOfThree", (*refusalCase).twoOfThree},
		{"Deny", (*refusalCase).deny},
		{"Quota", (*refusalCase).quota},
		{"LeaderKilled", (*refusalCase).leaderKilled},
		{"OldPods", (*refusalCase).oldPods},
	} {
		t.Run(step.name, func(t *testing.T) { step.run(c, t) })
	}
}

// refusing makes Injections, and policies that refuse what they add.
func (c *refusalCase) refusing(t *testing.T, manifests string, containers ...string) {
	t.Helper()

	for _, name := range containers {
		manifests += noContainer(name)
	}

	c.apply(t, manifests)
	c.kubectl(t, "wait", "--for=condition=Ready", "injections", "--all", "--all-namespaces")

	for _, name := range containers {
		c.refuses(t, name, true)
	}
}

// refusedEvents waits until an object has these events of pods that were refused,
// by Injection, each with so many pods.
func (c *refusalCase) refusedEvents(t *testing.T, namespace, kind, name string, want map[string]int) {
	t.Helper()

	var lines []string
	harness.Eventually(t, fmt.Sprintf("the events of %s %s", kind, name), func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, "get", "events", "-n", namespace, "--field-selector",
			"reason=InjectionRefused,involvedObject.kind="+kind+",involvedObject.name="+name, "-o",
			`jsonpath={range .items[*]}{.count} {.message}{"\n"}{end}`)
		if err != nil {
			return err
		}

		lines = strings.Split(strings.TrimSpace(out), "\n")
		for words, count := range want {
			if !strings.Contains(out, words) {
				return fmt.Errorf("none has %q:\n%s", words, out)
			}

			for _, line := range lines {
				if strings.Contains(line, words) && !strings.HasPrefix(line, fmt.Sprintf("%d ", count)) {
					return fmt.Errorf("want %d pods:\n%s", count, line)
				}
			}
		}

		return nil
	})

	if len(lines) != len(want) {
		t.Errorf("want %d events:\n%s", len(want), strings.Join(lines, "\n"))
	}
}

// withdrawn waits until the status of an Injection matches.
func (c *refusalCase) withdrawn(t *testing.T, namespace, name, want string) {
	t.Helper()
	c.matches(t, "^"+want+"$", "get", "injection", name, "-n", namespace, "-o", `jsonpath={range .status.withdrawn[*]}{.phase} {.kind},{end}`)
}

// said counts the lines of all logs that have these words.
func (c *refusalCase) said(words string) (n int, err error) {
	for _, r := range c.replicas {
		text, err := os.ReadFile(r.Log)
		if err != nil {
			return 0, err
		}

		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, words) {
				n++
			}
		}
	}

	return n, nil
}

// kinds has pods of every kind of controller refused.
func (c *refusalCase) kinds(t *testing.T) {
	t.Helper()

	c.refusing(t, strings.Replace(containerInjection("waits", "x", "wait"), "{matchLabels: {app: x}}",
		"{matchExpressions: [{key: app, operator: In, values: [db, agent, once, nightly]}]}", 1), "wait")

	job := "  parallelism: 3\n  completions: 3\n  template:\n    "
	start := time.Now()

	c.apply(t, "---\napiVersion: v1\nkind: Node\nmetadata: {name: one}\n---\napiVersion: v1\nkind: Node\nmetadata: {name: two}\n"+
		workload("StatefulSet", "db", "\n  serviceName: db\n  replicas: 3\n  podManagementPolicy: Parallel")+workload("DaemonSet", "agent", "")+
		"---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: once, namespace: shop}\nspec:\n"+job+podTemplate("once", "Never")+
		"---\napiVersion: batch/v1\nkind: CronJob\nmetadata: {name: nightly, namespace: shop}\nspec:\n  schedule: '0 0 1 1 *'\n  jobTemplate:\n    spec:\n    "+
		strings.ReplaceAll(job+podTemplate("nightly", "Never"), "\n", "\n    "))
	c.kubectl(t, "create", "job", "nightly-29000001", "-n", "shop", "--from=cronjob/nightly")

	for _, o := range []struct {
		kind, name string
		pods       int
	}{{"StatefulSet", "db", 3}, {"DaemonSet", "agent", 2}, {"Job", "once", 3}, {"CronJob", "nightly", 3}} {
		c.pods(t, o.name, o.pods, "=waits@")

		t.Logf("%s: %d pods after %v", o.kind, o.pods, time.Since(start))
		c.refusedEvents(t, "shop", o.kind, o.name, map[string]int{"our registry has no image for wait": o.pods})
	}

	c.withdrawn(t, "shop", "waits", `(Withdrawn (StatefulSet|DaemonSet|Job|CronJob),){4}`)

	// The next run of the CronJob loses no pod.
	c.kubectl(t, "create", "job", "nightly-29000002", "-n", "shop", "--from=cronjob/nightly")
	c.pods(t, "nightly", 6, "=waits@")
	c.refusedEvents(t, "shop", "CronJob", "nightly", map[string]int{"our registry has no image for wait": 6})

	if out := c.kubectl(t, "get", "events", "-n", "shop", "--field-selector", "reason=FailedCreate,involvedObject.name=nightly-29000002"); out != "" {
		t.Errorf("a pod of the second run was refused:\n%s", out)
	}

	// A new template is a new try. Without the policy, all of its pods are injected.
	c.kubectl(t, "delete", "validatingadmissionpolicybinding", "no-wait")
	c.refuses(t, "wait", false)
	c.kubectl(t, "rollout", "restart", "-n", "shop", "daemonset/agent")
	c.kubectl(t, "delete", "pods", "-n", "shop", "-l", "app=agent", "--grace-period=0", "--force")
	c.matches(t, `^(waits@[0-9a-f]{8}=\n){2}$`, recordsOf("agent")...)
}

// twoOfThree has two of three Injections refused, for different reasons: the third
// stays.
func (c *refusalCase) twoOfThree(t *testing.T) {
	t.Helper()

	c.refusing(t, containerInjection("left", "pair", "left")+containerInjection("right", "pair", "right")+envInjection("stays", "pair", "REGION", "eu"),
		"left", "right")
	c.apply(t, deployment("pair", 3))
	t.Logf("3 pods after %v", c.pods(t, "pair", 3, "stays@"))
	c.matches(t, `^(stays@[0-9a-f]{8}=left@[0-9a-f]{8}=InjectionRefused,right@[0-9a-f]{8}=InjectionRefused\n){3}$`, recordsOf("pair")...)
	c.refusedEvents(t, "shop", "Deployment", "pair", map[string]int{"our registry has no image for left": 3, "our registry has no image for right": 3})
}

// leaderKilled kills the leader in the middle of trials. The other replica, which
// answers all reviews, goes on with them; so does one that is started anew.
func (c *refusalCase) leaderKilled(t *testing.T) {
	t.Helper()

	const owners = 10

	leader, other := 0, 1
	if n, err := c.replicas[1].Metric(t.Context(), "telltale_leader"); err != nil || n == 1 {
		leader, other = 1, 0
	}

	harness.Eventually(t, "one leads", leads(c.replicas[leader], 1))
	c.register(t, c.ports[other])
	c.refusing(t, strings.Replace(containerInjection("orphan", "x", "orphan"), "{matchLabels: {app: x}}",
		"{matchExpressions: [{key: app, operator: In, values: ["+names("orphan", owners)+"]}]}", 1), "orphan")

	var all strings.Builder
	for i := range owners {
		all.WriteString(deployment(fmt.Sprintf("orphan-%d", i), 2))
	}

	start := time.Now()

	c.apply(t, all.String())
	harness.Eventually(t, "trials", func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, "get", "injection", "orphan", "-n", "shop", "-o", "jsonpath={.status.withdrawn[*].phase}")
		if err == nil && !strings.Contains(out, "Trial") && !strings.Contains(out, "Withdrawn") {
			err = errors.New(out)
		}

		return err
	})
	c.replicas[leader].Kill()
	t.Logf("the leader is killed after %v: %s", time.Since(start), c.kubectl(t, "get", "injection", "orphan", "-n", "shop", "-o",
		"jsonpath={.status.withdrawn[*].phase}"))
	harness.Start(t, c.replicas[leader])

	for i := range owners {
		name := fmt.Sprintf("orphan-%d", i)
		c.pods(t, name, 2, "=orphan@")
		c.refusedEvents(t, "shop", "Deployment", name, map[string]int{"our registry has no image for orphan": 2})
	}

	t.Logf("all is shown after %v", time.Since(start))

	// The new replica knows all that the leader withdrew.
	harness.WaitReady(t, c.replicas[leader])
	c.withdrawn(t, "shop", "orphan", fmt.Sprintf("(Withdrawn ReplicaSet,){%d}", owners))
	c.register(t, c.ports[leader])
	c.kubectl(t, "scale", "deployment/orphan-0", "-n", "shop", "--replicas=5")
	c.pods(t, "orphan-0", 5, "=orphan@")
	c.refusedEvents(t, "shop", "Deployment", "orphan-0", map[string]int{"our registry has no image for orphan": 5})
}

// oldPods has a pod refused for another reason, beside pods of the same owner that
// have the record of an earlier withdrawal: they prove nothing.
func (c *refusalCase) oldPods(t *testing.T) {
	t.Helper()

	c.kubectl(t, "delete", "validatingadmissionpolicybinding", "no-orphan")
	c.refuses(t, "orphan", false)
	c.kubectl(t, "patch", "injection", "orphan", "-n", "shop", "--subresource=status", "--type=merge", `--patch={"status": {"withdrawn": null}}`)
	c.apply(t, "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: one, namespace: shop}\nspec: {hard: {pods: 1}}\n")
	c.output(t, "1", "get", "resourcequota", "one", "-n", "shop", "-o", "jsonpath={.status.hard.pods}")

	before, err := c.said("the next one is tried without")
	if err != nil {
		t.Fatal(err)
	}

	c.kubectl(t, "scale", "deployment/orphan-0", "-n", "shop", "--replicas=6")
	harness.Eventually(t, "a trial", func(context.Context) error {
		after, err := c.said("the next one is tried without")
		if err == nil && after == before {
			err = errors.New("none began")
		}

		return err
	})
	c.withdrawn(t, "shop", "orphan", "")
	c.kubectl(t, "delete", "resourcequota", "one", "-n", "shop")
	c.kubectl(t, "annotate", "replicasets", "-n", "shop", "-l", "app=orphan-0", "look=again")
	c.matches(t, `(?m)^orphan@[0-9a-f]{8}=$`, recordsOf("orphan-0")...)
}

// names are the names of so many apps.
func names(prefix string, n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s-%d", prefix, i)
	}

	return strings.Join(all, ", ")
}

// register sends all reviews to one port, and waits until they come there.
func (c *refusalCase) register(t *testing.T, port string) {
	t.Helper()

	if err := telltale.Register(t.Context(), c.ControlPlane, port); err != nil {
		t.Fatal(err)
	}

	r := c.replicas[0]
	if r.Port != port {
		r = c.replicas[1]
	}

	harness.WaitReady(t, r)

	harness.Eventually(t, "reviews at port "+port, func(ctx context.Context) error {
		before, err := r.Metric(ctx, "telltale_admission_requests_total")
		if err != nil {
			return err
		}

		if _, err := c.Kubectl(ctx, "run", "x", "-n", "shop", "-l", "app=probe", "--image=x", "--dry-run=server"); err != nil {
			return err
		}

		after, err := r.Metric(ctx, "telltale_admission_requests_total")
		if err == nil && after == before {
			err = errors.New("none came")
		}

		return err
	})
}
