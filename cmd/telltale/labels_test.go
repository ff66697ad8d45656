//go:build apiserver

package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// tracked adds a label to all pods.
const tracked = `---
apiVersion: telltale.dev/v1alpha1
kind: Injection
metadata: {name: canary, namespace: shop}
spec:
  selector: {}
  labels: {track: canary}
`

// excluding makes the selector of an app's workload exclude the label track.
func excluding(app, how, manifest string) string {
	return strings.Replace(manifest, "selector: {matchLabels: {app: "+app+"}}",
		"selector: {matchLabels: {app: "+app+"}, matchExpressions: [{key: track, "+how+"}]}", 1)
}

// ownership counts the pods of an app that have an owner, and those that have none.
func (c *cluster) ownership(ctx context.Context, app string) (owned, left int, err error) {
	out, err := c.Kubectl(ctx, "get", "pods", "-n", "shop", "-l", "app="+app, "-o",
		`jsonpath={range .items[*]}{.metadata.ownerReferences[*].kind}{"\n"}{end}`)
	for line := range strings.Lines(out) {
		if strings.TrimSpace(line) == "" {
			left++
		} else {
			owned++
		}
	}

	return owned, left, err
}

// owns waits until the controller of an app's pods has all of them. It returns how
// many pods it has created that it does not own.
func (c *cluster) owns(t *testing.T, app, controller, status string, want int) (left int) {
	t.Helper()

	took := harness.Eventually(t, fmt.Sprintf("%s owns %d pods", controller, want), func(ctx context.Context) error {
		has, err := c.Kubectl(ctx, "get", controller, "-n", "shop", "-o", "jsonpath={.status."+status+"}")
		if err != nil {
			return err
		}

		owned, others, err := c.ownership(ctx, app)
		if left = others; err == nil && (owned != want || has != fmt.Sprint(want)) {
			err = fmt.Errorf("it has %s pods; %d have an owner, %d have none", has, owned, left)
		}

		return err
	})
	t.Logf("%s: %d pods after %v, %d too many", controller, want, took, left)

	return left
}

// tooMany is how many pods without an owner a controller may create.
const tooMany = 40

// TestExcludedLabel injects a label that the selectors of controllers exclude. A
// controller does not own a pod with it, and creates another; soon its pods start
// without the label, and its event says so. Other pods have the label.
func TestExcludedLabel(t *testing.T) {
	for name, replicas := range map[string]int{"OneReplica": 1, "ThreeReplicas": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			c := startCluster(t)
			c.launchSome(t, replicas)

			c.apply(t, "apiVersion: v1\nkind: Node\nmetadata: {name: one}\n") // for the DaemonSet
			c.apply(t, tracked+envInjection("probe", "probe", "PROBE", "yes"))
			c.kubectl(t, "wait", "--for=condition=Ready", "-n", "shop", "injections", "--all")
			c.injectedAgain(t, "probe", "PROBE")

			c.apply(t, deployment("plain", 2)+excluding("checkout", "operator: DoesNotExist", deployment("checkout", 3))+
				excluding("one", "operator: NotIn, values: [canary]", deployment("one", 1))+
				excluding("agent", "operator: DoesNotExist", workload("DaemonSet", "agent", ""))+
				excluding("large", "operator: DoesNotExist", deployment("large", 100)))

			left := 0
			for _, o := range []struct {
				app, controller, status string
				want                    int
			}{
				{"plain", "deployment/plain", "replicas", 2},
				{"one", "deployment/one", "replicas", 1},
				{"agent", "daemonset/agent", "currentNumberScheduled", 1},
				{"checkout", "deployment/checkout", "replicas", 3},
				{"large", "deployment/large", "replicas", 100},
			} {
				left = c.owns(t, o.app, o.controller, o.status, o.want)
				if left > tooMany || o.app == "plain" && left != 0 {
					t.Errorf("%s: %d pods too many", o.controller, left)
				}
			}

			for _, o := range []string{"deployment/one", "deployment/checkout", "daemonset/agent"} {
				c.matches(t, `InjectionRefused .*Injection "canary" not applied: its label "track" is excluded by the selector of (ReplicaSet|DaemonSet) `,
					"describe", o, "-n", "shop")
			}

			c.output(t, "canary canary", "get", "pods", "-n", "shop", "-l", "app=plain", "-o", "jsonpath={.items[*].metadata.labels.track}")

			// A rollout has another ReplicaSet with the same selector.
			c.kubectl(t, "rollout", "restart", "deployment/large", "-n", "shop")
			c.matches(t, "^([5-9][0-9]|100)$", "get", "deployment", "large", "-n", "shop", "-o", "jsonpath={.status.updatedReplicas}")

			_, after, err := c.ownership(t.Context(), "large")
			t.Logf("after a rollout: %d too many", after)

			if err != nil || after > left && replicas == 1 || after > tooMany {
				t.Errorf("%d pods too many after a rollout, %d before it: %v", after, left, err)
			}
		})
	}
}

// TestExcludedLabelOfStatefulSet: the first pod has the label, and its name. The
// event says that it is to be deleted; then the StatefulSet has its pods.
func TestExcludedLabelOfStatefulSet(t *testing.T) {
	t.Parallel()

	c := startCluster(t)
	c.launchSome(t, 1)
	c.apply(t, tracked+envInjection("probe", "probe", "PROBE", "yes"))
	c.kubectl(t, "wait", "--for=condition=Ready", "-n", "shop", "injections", "--all")
	c.injectedAgain(t, "probe", "PROBE")

	c.apply(t, excluding("db", "operator: DoesNotExist", workload("StatefulSet", "db", "\n  serviceName: db")))
	c.matches(t, `InjectionRefused .*its label "track" is excluded by the selector of StatefulSet db: .*delete it`,
		"describe", "statefulset", "db", "-n", "shop")

	c.kubectl(t, "delete", "pod", "db-0", "-n", "shop", "--grace-period=0", "--force")

	if left := c.owns(t, "db", "statefulset/db", "replicas", 1); left != 0 {
		t.Errorf("%d pods too many", left)
	}
}

// launchSome installs Telltale, and starts so many replicas behind one address.
func (c *cluster) launchSome(t *testing.T, replicas int) {
	t.Helper()

	ports := make([]string, replicas)
	for i := range ports {
		ports[i] = harness.FreePort(t)
	}

	c.install(t, balance(t, ports...))

	var all []*telltale.Replica
	for _, port := range ports {
		all = append(all, c.launch(t, port))
	}

	for _, r := range all {
		harness.WaitReady(t, r)
	}
}

// TestWarnedOfContainer: a bare pod has no second try. If a policy refuses it, its
// creator sees which Injection has added the container.
func TestWarnedOfContainer(t *testing.T) {
	t.Parallel()

	c := startCluster(t)
	c.launchSome(t, 1)
	c.apply(t, noContainer("wait")+containerInjection("waits", "checkout", "wait")+envInjection("probe", "probe", "PROBE", "yes"))
	c.kubectl(t, "wait", "--for=condition=Ready", "-n", "shop", "injections", "--all")
	c.injectedAgain(t, "probe", "PROBE")
	c.refuses(t, "wait", true)

	pod := c.write(t, barePod("name: shell", "\n  labels: {app: checkout}"))
	out, err := c.Kubectl(t.Context(), "create", "-f", pod)

	said := fmt.Sprint(out, err)
	for _, want := range []string{`Warning: Injection "waits" adds init container "wait"`, "our registry has no image for wait"} {
		if err == nil || !strings.Contains(said, want) {
			t.Errorf("want %q in: %s", want, said)
		}
	}
}
