//go:build apiserver

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/test/harness"
)

// noImage is a policy that refuses pods for the image of their app, with or
// without an Injection.
const noImage = `---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-image}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  validations: [{expression: "object.spec.containers.all(c, c.image != 'registry.example/bad:1')", message: "registry.example/bad:1 is not signed."}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-image}
spec: {policyName: no-image, validationActions: [Deny]}
`

// notOurs has many Deployments refused for what is their own: no Injection is to
// blame, none is said to be, and none is missing once they are let be.
func (c *refusalCase) notOurs(t *testing.T) {
	t.Helper()

	const owners = 20 // as many as are tried at once; test/stress has more

	c.kubectl(t, "create", "namespace", "bad")
	c.apply(t, noImage+strings.NewReplacer("shop", "bad", "{matchLabels: {app: x}}", "{}").Replace(containerInjection("innocent", "x", "innocent")))
	c.kubectl(t, "wait", "--for=condition=Ready", "-n", "bad", "injection/innocent")
	harness.Eventually(t, "the policy", func(ctx context.Context) error {
		if _, err := c.Kubectl(ctx, "run", "x", "-n", "bad", "--image=registry.example/bad:1", "--dry-run=server"); err == nil {
			return errors.New("the pod is taken")
		}

		return nil
	})

	var all strings.Builder
	for i := range owners {
		all.WriteString(strings.NewReplacer("shop", "bad", "app:1", "bad:1").Replace(deployment(fmt.Sprintf("bad-%d", i), 1)))
	}

	c.apply(t, all.String())

	took := harness.Within(t, 2*time.Minute, "a trial of each, and no withdrawal", func(ctx context.Context) error {
		tried, err := c.said("the next one is tried without")
		if err != nil || tried < owners {
			return fmt.Errorf("%d were tried: %w", tried, err)
		}

		out, err := c.Kubectl(ctx, "get", "injection", "innocent", "-n", "bad", "-o", "jsonpath={.status.withdrawn[*].phase}")
		if err == nil && out != "" {
			err = errors.New(out)
		}

		return err
	})
	t.Logf("%d trials ended after %v", owners, took)

	c.kubectl(t, "delete", "validatingadmissionpolicybinding", "no-image")
	harness.Eventually(t, "all pods, with the Injection", func(ctx context.Context) error {
		if _, err := c.Kubectl(ctx, "annotate", "replicasets", "-n", "bad", "--all", "--overwrite", "look="+fmt.Sprint(time.Now().UnixNano())); err != nil {
			return err
		}

		out, err := c.Kubectl(ctx, "get", "pods", "-n", "bad", "-o",
			`jsonpath={range .items[*]}{.metadata.annotations.telltale\.dev/injected}={.metadata.annotations.telltale\.dev/failed}{"\n"}{end}`)
		if err == nil && strings.Count(out, "=\n") != owners {
			err = fmt.Errorf("the pods' records:\n%s", out)
		}

		return err
	})

	if out := c.kubectl(t, "get", "events", "-n", "bad", "--field-selector=reason=InjectionRefused"); out != "" {
		t.Errorf("an Injection is blamed:\n%s", out)
	}

	for _, r := range c.replicas {
		if n, err := r.Metric(t.Context(), "telltale_injection_failures_total", "InjectionRefused"); err != nil || n != 0 {
			t.Errorf("%v failures are counted (%v)", n, err)
		}
	}
}

// deny has a pod refused for an Injection that it must not start without.
func (c *refusalCase) deny(t *testing.T) {
	t.Helper()

	c.refusing(t, containerInjection("strict", "strict", "strict")+"  onFailure: Deny\n", "strict")
	c.apply(t, deployment("strict", 1))
	c.output(t, `Injection "strict" not applied: pods may be refused because of its init container "strict": pods "strict-`, "describe", "deployment", "strict", "-n", "shop")

	c.output(t, "our registry has no image for strict. It says onFailure: Deny", "describe", "deployment", "strict", "-n", "shop")

	if out := c.kubectl(t, recordsOf("strict")...); out != "" {
		t.Errorf("a pod started: %s", out)
	}

	c.withdrawn(t, "shop", "strict", "")
}

// quota has the quota of a namespace used up by others, then freed.
func (c *refusalCase) quota(t *testing.T) {
	t.Helper()

	c.kubectl(t, "create", "namespace", "full")
	c.apply(t, strings.NewReplacer("shop", "full", "image: registry.example/greedy:1", "image: x, restartPolicy: Always, resources: {requests: {cpu: 500m}}").
		Replace(containerInjection("greedy", "web", "greedy"))+`---
apiVersion: v1
kind: ResourceQuota
metadata: {name: cpu, namespace: full}
spec: {hard: {requests.cpu: "1"}}
---
apiVersion: v1
kind: Pod
metadata: {name: other, namespace: full}
spec: {containers: [{name: app, image: x, resources: {requests: {cpu: 800m}}}]}
`)
	c.kubectl(t, "wait", "--for=condition=Ready", "-n", "full", "injection/greedy")
	c.output(t, "800m", "get", "resourcequota", "cpu", "-n", "full", "-o", `jsonpath={.status.used.requests\.cpu}`)

	records := recordsOf("web")
	records[3] = "full"
	start := time.Now()

	c.apply(t, strings.NewReplacer("shop", "full", "app:1,", "app:1, resources: {requests: {cpu: 100m}},").Replace(deployment("web", 1)))
	c.matches(t, `^=greedy@[0-9a-f]{8}=InjectionRefused\n$`, records...)
	t.Logf("the pod is there after %v", time.Since(start))
	c.refusedEvents(t, "full", "Deployment", "web", map[string]int{"exceeded quota: cpu": 1})

	c.kubectl(t, "delete", "pod", "other", "-n", "full", "--grace-period=0", "--force")
	c.output(t, "100m", "get", "resourcequota", "cpu", "-n", "full", "-o", `jsonpath={.status.used.requests\.cpu}`)

	// The wait is over at once.
	c.kubectl(t, "patch", "injection", "greedy", "-n", "full", "--subresource=status", "--type=json",
		`--patch=[{"op": "replace", "path": "/status/withdrawn/0/until", "value": "2026-01-01T00:00:00Z"}]`)
	c.withdrawn(t, "full", "greedy", "Retry ReplicaSet,")
	c.kubectl(t, "delete", "pods", "-n", "full", "-l", "app=web", "--grace-period=0", "--force")
	c.matches(t, `^greedy@[0-9a-f]{8}=\n$`, records...)
}
