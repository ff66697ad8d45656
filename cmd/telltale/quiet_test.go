//go:build apiserver

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/test/harness"
)

// TestNoFalseAlarm edits and relabels all that decides, around pods that are created
// meanwhile, while Telltale is well, and once while no replica runs. No event says
// that a pod was missed or lost, but for one that was.
func TestNoFalseAlarm(t *testing.T) {
	c := startAudit(t, envInjection("proxy", "web", "PROXY", "x"))
	c.kubectl(t, "create", "namespace", "bank")
	c.apply(t, `{apiVersion: telltale.dev/v1alpha1, kind: ClusterInjection, metadata: {name: team}, spec: {
		selector: {}, namespaceSelector: {matchLabels: {team: a}}, env: [{name: TEAM, value: a}]}}`)
	c.inForce(t)

	in := func(args ...string) { t.Helper(); c.kubectl(t, append(args, "-n", "shop")...) }
	run := func(name string, labels string) { t.Helper(); in("run", name, "--image=x", "-l", labels) }

	// Pods are older than the Injection, than an edit of its selector, than a
	// relabelling of their own.
	run("early", "app=late")
	run("other", "app=other")
	run("relabelled", "app=none")
	run("opted-out", "app=web,telltale.dev/inject=disabled")
	c.apply(t, envInjection("late", "late", "LATE", "x"))
	in("patch", "injection", "late", "--type=merge", `--patch={"spec": {"selector": {"matchLabels": {"app": "other"}}}}`)
	run("after-edit", "app=other")
	in("label", "pod", "relabelled", "app=web", "--overwrite")
	in("label", "pod", "opted-out", "telltale.dev/inject-")

	// A namespace gets a label after its first pod, now and while no replica runs.
	lateTeam := func(name string) {
		t.Helper()
		c.kubectl(t, "create", "namespace", name)
		c.output(t, "default", "get", "serviceaccount", "default", "-n", name, "--ignore-not-found")
		c.kubectl(t, "run", "first", "-n", name, "--image=x")
		c.kubectl(t, "label", "namespace", name, "team=a")
	}
	lateTeam("late-team")

	// The namespace opts out, and in again.
	in("label", "namespace", "shop", "telltale.dev/inject=disabled")
	run("not-asked", "app=web")
	in("label", "namespace", "shop", "telltale.dev/inject-")

	// An Injection is edited and pods come without a pause; it is deleted, and made
	// again.
	for i := range 10 {
		in("patch", "injection", "proxy", "--type=merge", fmt.Sprintf(`--patch={"spec": {"env": [{"name": "PROXY", "value": "%d"}]}}`, i))
		run(fmt.Sprintf("edited-%d", i), "app=web")
	}

	in("delete", "injection", "proxy")
	run("deleted", "app=web")
	c.apply(t, envInjection("proxy", "web", "PROXY", "x"))
	run("made-again", "app=web")
	c.inForce(t)

	// Records are removed, and a pod ends.
	run("stripped", "app=web")
	run("failed", "app=web")
	c.output(t, "proxy@", recordsOf("web")...)
	in("annotate", "pod", "stripped", "telltale.dev/injected-")
	in("delete", "pod", "failed", "--grace-period=0", "--force")

	// All injection is stopped.
	c.kubectl(t, "create", "configmap", "telltale-stop", "-n", "telltale-system")
	c.output(t, "False", "get", "injection", "proxy", "-n", "shop", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
	run("stopped", "app=web")
	c.kubectl(t, "delete", "configmap", "telltale-stop", "-n", "telltale-system")
	c.output(t, "True", "get", "injection", "proxy", "-n", "shop", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)

	// The leader is killed; then edits are made while no replica runs.
	c.marked(t)
	c.audits(t).Kill()
	c.stop(t)
	run("before-gap-edit", "app=late")
	lateTeam("gap-team")
	in("patch", "injection", "late", "--type=merge", `--patch={"spec": {"selector": {"matchLabels": {"app": "late"}}}}`)
	c.kubectl(t, "label", "namespace", "bank", "telltale.dev/inject=disabled")
	c.apply(t, strings.ReplaceAll(envInjection("proxy", "web", "PROXY", "x"), "namespace: shop", "namespace: bank"))
	c.kubectl(t, "run", "bank", "-n", "bank", "--image=x", "-l", "app=web")
	c.kubectl(t, "label", "namespace", "bank", "telltale.dev/inject-")

	// One is missed: when that is told, all else was looked at.
	time.Sleep(2 * margin) // it must be younger than all edits by more than clocks differ
	run("missed", "app=web")
	c.start(t)
	c.tells(t, "InjectionMissed", map[string]int{"Pod/missed": 1})
	c.audits(t)

	// The same again, of a pod that comes last, with the leader in place.
	c.stop(t)
	run("missed-too", "app=web")
	c.start(t)
	c.tells(t, "InjectionMissed", map[string]int{"Pod/missed": 1, "Pod/missed-too": 1})
	c.tells(t, "InjectionLost", map[string]int{})
}

// TestCountsOfAll has an Injection that selects no pod, and pods that Telltale is never
// asked about: opted out, and of a namespace that is. An Injection without pods shows
// zeros, and such pods are in no count, even if one later ends its opt-out.
func TestCountsOfAll(t *testing.T) {
	c := startAudit(t, envInjection("none", "none", "PROXY", "x")+envInjection("proxy", "web", "PROXY", "x")+`---
apiVersion: telltale.dev/v1alpha1
kind: ClusterInjection
metadata: {name: all}
spec:
  selector: {}
  env: [{name: ALL, value: x}]
`)
	c.output(t, "0 0 0 0 0 0", countsOf("none")...)
	c.kubectl(t, "create", "namespace", "quiet")
	c.kubectl(t, "label", "namespace", "quiet", "telltale.dev/inject=disabled")

	for _, namespace := range []string{"kube-system", "quiet", "shop"} {
		c.kubectl(t, "run", "web", "-n", namespace, "--image=x", "-l", "app=web")
	}

	c.kubectl(t, "run", "opted-out", "-n", "shop", "--image=x", "-l", "app=web,telltale.dev/inject=disabled")
	c.output(t, "1 1 0 0 0 0", countsOf("proxy")...)
	c.output(t, "1 1", "get", "clusterinjection", "all", "-o", "jsonpath={.status.pods.selected} {.status.pods.injected}")

	// It becomes one that has no Injection, and was not missed: all that is told comes
	// within 3 s of the look.
	c.kubectl(t, "label", "pod", "opted-out", "-n", "shop", "telltale.dev/inject-")
	c.output(t, "2 1 0 0 0 0", countsOf("proxy")...)
	time.Sleep(2 * margin)
	c.tells(t, "InjectionMissed", map[string]int{})
}

// marked waits until the next leader would know that injection goes on, and all
// that the namespaces were.
func (c *auditCase) marked(t *testing.T) {
	t.Helper()

	version, err := strconv.Atoi(c.kubectl(t, "get", "namespace", "shop", "-o", "jsonpath={.metadata.resourceVersion}"))
	if err != nil {
		t.Fatal(err)
	}

	harness.Eventually(t, "the mark of the audit", func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, "get", "lease", "telltale-audit", "-n", "telltale-system", "-o", `jsonpath={.metadata.annotations.telltale\.dev/audit}`)
		if err != nil {
			return err
		}

		var mark struct {
			Namespaces string
			Stopped    bool
			// The test has stopped it once.
			StoppedUntil string
		}

		err = json.Unmarshal([]byte(out), &mark)
		if upTo, _ := strconv.Atoi(mark.Namespaces); err == nil && (mark.Stopped || mark.StoppedUntil == "" || upTo < version) {
			err = errors.New(out)
		}

		return err
	})
}

// margin is more than two clocks may be apart.
const margin = 5 * time.Second

// TestLost has another webhook's work done by hand: a label that an Injection added
// is taken away later. It is shown once. An image of another registry is no loss.
func TestLost(t *testing.T) {
	c := startAudit(t, strings.Replace(containerInjection("waits", "web", "wait"), "spec:", "spec:\n  labels: {team: net}", 1))
	c.apply(t, deployment("web", 3))
	c.matches(t, `^(waits@[0-9a-f]{8}=\n){3}$`, recordsOf("web")...)
	c.output(t, "3 3 0 0 0 0", countsOf("waits")...)

	names := strings.Fields(c.kubectl(t, "get", "pods", "-n", "shop", "-l", "app=web", "-o", "jsonpath={.items[*].metadata.name}"))
	c.kubectl(t, "label", "pod", "-n", "shop", names[0], "team-")
	c.kubectl(t, "label", "pod", "-n", "shop", names[1], "team=other", "--overwrite")
	c.kubectl(t, "set", "image", "-n", "shop", "pod/"+names[2], "wait=mirror.example/wait:1")
	c.tells(t, "InjectionLost", map[string]int{"Deployment/web": 1})
	c.output(t, "3 0 0 0 2 1", countsOf("waits")...)
	c.output(t, "the pod no longer has label team", "describe", "deployment", "web", "-n", "shop")

	// Lost a second time, and then by the next leader's own eyes.
	c.audits(t).Kill()

	for _, r := range c.replicas {
		if r.State() == nil {
			harness.Eventually(t, "the next leader", leads(r, 1))
		}
	}

	c.audits(t)
	c.kubectl(t, "label", "pod", "-n", "shop", names[1], "team-")
	c.tells(t, "InjectionLost", map[string]int{"Deployment/web": 2})
	c.output(t, "3 0 0 0 1 2", countsOf("waits")...)
	harness.Eventually(t, "no pod was missed", func(ctx context.Context) error {
		told, err := c.told(ctx, "InjectionMissed")
		if err == nil && len(told) > 0 {
			t.Errorf("missed: %v", told)
		}

		return err
	})
}
