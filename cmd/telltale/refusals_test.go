//go:build apiserver

package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/test/harness"
)

// noContainer is a policy that refuses pods with an init container of this name.
func noContainer(name string) string {
	return fmt.Sprintf(`---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-%[1]s}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  validations:
  - expression: "!has(object.spec.initContainers) || object.spec.initContainers.all(c, c.name != '%[1]s')"
    message: "our registry has no image for %[1]s."
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-%[1]s}
spec: {policyName: no-%[1]s, validationActions: [Deny]}
`, name)
}

// containerInjection adds an init container to the pods of an app.
func containerInjection(name, app, container string) string {
	return fmt.Sprintf(`---
apiVersion: telltale.dev/v1alpha1
kind: Injection
metadata: {name: %s, namespace: shop}
spec:
  selector: {matchLabels: {app: %s}}
  initContainers: [{name: %s, image: registry.example/%[3]s:1}]
`, name, app, container)
}

// refuses waits until the API server refuses pods with such a container, or takes
// them.
func (c *cluster) refuses(t *testing.T, container string, want bool) {
	t.Helper()

	pod := c.write(t, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: refused, namespace: shop}
spec:
  initContainers: [{name: %s, image: x}]
  containers: [{name: app, image: x}]
`, container))

	harness.Eventually(t, fmt.Sprintf("pods with %s are refused: %v", container, want), func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, "create", "--dry-run=server", "-f", pod)

		switch refused := err != nil && strings.Contains(err.Error(), "no image for "+container); {
		case refused == want && (want || err == nil):
			return nil
		case err != nil:
			return err
		default:
			return fmt.Errorf("the pod is taken: %s", out)
		}
	})
}

// pods waits until an app has so many pods with this record, and none else.
func (c *cluster) pods(t *testing.T, app string, want int, record string) time.Duration {
	t.Helper()

	return harness.Eventually(t, fmt.Sprintf("%d pods of %s with the record %s", want, app, record), func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, recordsOf(app)...)
		if err != nil {
			return err
		}

		if strings.Count(out, "\n") != want || strings.Count(out, record) != want {
			return fmt.Errorf("the pods' records:\n%s", out)
		}

		return nil
	})
}

// TestRefusedByPolicy has a policy refuse the pods of a Deployment for one of its
// two Injections. Its pods start without that one, and its event says so, with the
// policy's words and the count. Once the policy is gone, the next rollout has it.
func TestRefusedByPolicy(t *testing.T) {
	for name, replicas := range map[string]int{"OneReplica": 1, "ThreeReplicas": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			c := startCluster(t)
			c.launchSome(t, replicas)

			c.apply(t, noContainer("wait")+containerInjection("waits", "checkout", "wait")+envInjection("mesh", "checkout", "REGION", "eu")+
				envInjection("probe", "probe", "PROBE", "yes"))
			c.kubectl(t, "wait", "--for=condition=Ready", "-n", "shop", "injections", "--all")
			c.injectedAgain(t, "probe", "PROBE")
			c.refuses(t, "wait", true)

			c.apply(t, deployment("checkout", 3))
			t.Logf("3 pods after %v", c.pods(t, "checkout", 3, "=waits@"))

			c.matches(t, `InjectionRefused .*\(x3 over .*Injection "waits" not applied: pods with it were refused: .*our registry has no image for wait`,
				"describe", "deployment", "checkout", "-n", "shop")
			c.output(t, "Withdrawn ReplicaSet", "get", "injection", "waits", "-n", "shop", "-o",
				`jsonpath={range .status.withdrawn[*]}{.phase} {.kind}{end}`)

			c.kubectl(t, "delete", "validatingadmissionpolicybinding", "no-wait")
			c.refuses(t, "wait", false)
			c.kubectl(t, "rollout", "restart", "deployment/checkout", "-n", "shop")
			c.matches(t, `,waits@[0-9a-f]{8}=\n`, recordsOf("checkout")...)
		})
	}
}
