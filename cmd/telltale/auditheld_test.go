//go:build apiserver

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/test/harness"
)

// TestStopKeepsCounts stops all injection after pods were missed, edits what concerns all
// pods meanwhile, and replaces the leader. The pods that were told stay in the counts, and are not told again.
func TestStopKeepsCounts(t *testing.T) {
	zone := strings.ReplaceAll(strings.Replace(envInjection("zone", "x", "ZONE", "a"), "kind: Injection", "kind: ClusterInjection", 1), ", namespace: shop", "")
	c := startAudit(t, envInjection("proxy", "web", "PROXY", "x")+zone)

	c.stop(t)
	c.apply(t, deployment("web", 3))
	c.hasPods(t, "web", 3)
	c.start(t)

	holds := func() {
		t.Helper()
		c.tells(t, "InjectionMissed", map[string]int{"Deployment/web": 3})
		c.output(t, "3 0 0 3 0 0", countsOf("proxy")...)
	}
	// The leader looks at all pods five seconds after an edit that concerns them, and
	// shows the counts then. Nothing may change, so there is nothing to wait for.
	looks := func() { t.Helper(); time.Sleep(12 * time.Second) }

	holds()
	c.kubectl(t, "create", "configmap", "telltale-stop", "-n", "telltale-system")
	harness.Eventually(t, "all replicas stop", stops(c.replicas, 1))
	c.apply(t, strings.Replace(zone, `"a"`, `"b"`, 1))
	looks()
	holds()

	// The next leader begins meanwhile.
	c.stop(t)
	c.start(t)
	c.audits(t)
	looks()
	holds()

	c.kubectl(t, "delete", "configmap", "telltale-stop", "-n", "telltale-system")
	harness.Eventually(t, "all replicas go on", stops(c.replicas, 0))
	looks()
	holds()
}

// TestMarkOvertaken has somebody else write the Lease of the audit, and delete it. The
// leader goes on to write it: the next one must know what was told.
func TestMarkOvertaken(t *testing.T) {
	c := startAudit(t, envInjection("proxy", "web", "PROXY", "x"))
	// A new namespace changes the mark.
	isWritten := func(namespace string) {
		t.Helper()
		c.kubectl(t, "create", "namespace", namespace)
		harness.Eventually(t, "the Lease is written again", func(ctx context.Context) error {
			got, err := c.Kubectl(ctx, "get", "lease", "telltale-audit", "-n", "telltale-system", "-o", "jsonpath={.metadata.annotations}")
			if err == nil && (!strings.Contains(got, "telltale.dev/audit") || strings.Contains(got, "by-hand")) {
				err = fmt.Errorf("it has %s", got)
			}

			return err
		})
	}

	isWritten("first")
	c.kubectl(t, "annotate", "lease", "telltale-audit", "-n", "telltale-system", "by-hand=yes")
	isWritten("second")
	c.kubectl(t, "delete", "lease", "telltale-audit", "-n", "telltale-system")
	isWritten("third")
}

// TestHeldNamespace has a policy refuse Telltale's events in a namespace where pods were
// missed. Other namespaces are told that theirs are restored, and the mark of the audit
// goes on beyond those pods. Once the policy is gone, the next leader tells of the pods in that namespace.
func TestHeldNamespace(t *testing.T) {
	all := strings.NewReplacer("kind: Injection", "kind: ClusterInjection", ", namespace: shop", "", "{matchLabels: {app: x}}", "{}").
		Replace(envInjection("zone", "x", "ZONE", "a"))
	c := startAudit(t, all)
	c.kubectl(t, "create", "namespace", "shut")
	c.apply(t, noEvents("{matchLabels: {kubernetes.io/metadata.name: shut}}"))
	c.refusesEvents(t, "shut", "no-events")

	c.stop(t)
	c.apply(t, deployment("web", 2)+strings.ReplaceAll(deployment("api", 3), "namespace: shop", "namespace: shut"))
	c.hasPods(t, "web", 2)
	c.matches(t, `^3$`, "get", "deployment", "api", "-n", "shut", "-o", "jsonpath={.status.replicas}")
	c.start(t)
	c.tells(t, "InjectionMissed", map[string]int{"Deployment/web": 2})

	c.kubectl(t, "delete", "pods", "-n", "shop", "-l", "app=web")
	c.tells(t, "InjectionRestored", map[string]int{"Deployment/web": 1})

	created, err := time.Parse(time.RFC3339, c.kubectl(t, "get", "pods", "-n", "shut", "--sort-by=.metadata.creationTimestamp", "-o", "jsonpath={.items[-1:].metadata.creationTimestamp}"))
	if err != nil {
		t.Fatal(err)
	}

	// It stays two minutes behind the pods that change.
	harness.Within(t, 2*harness.Patience, "the mark goes on, but for one namespace", func(ctx context.Context) error {
		if _, err := c.Kubectl(ctx, "annotate", "--overwrite", "pods", "-n", "shop", "-l", "app=web", "changed="+time.Now().Format("150405")); err != nil {
			return err
		}

		text, err := c.Kubectl(ctx, "get", "lease", "telltale-audit", "-n", "telltale-system", "-o", `jsonpath={.metadata.annotations.telltale\.dev/audit}`)
		if err != nil {
			return err
		}

		var mark struct {
			UpTo time.Time
			Held map[string]time.Time
		}

		if err := json.Unmarshal([]byte(text), &mark); err != nil || !mark.UpTo.After(created) || mark.Held["shut"].IsZero() || mark.Held["shut"].After(created) {
			return fmt.Errorf("it is %+v, %w", mark, err)
		}

		return nil
	})

	c.stop(t)
	c.kubectl(t, "delete", "validatingadmissionpolicybinding", "no-events")
	c.start(t)
	c.tells(t, "InjectionMissed", map[string]int{"Deployment/web": 2, "Deployment/api": 3})
}

// noEvents is a policy that refuses Telltale's events in the namespaces of a selector.
func noEvents(selector string) string {
	return fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-events}
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector: %s
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [events]}]
  validations: [{expression: "object.source.component != 'telltale'"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-events}
spec: {policyName: no-events, validationActions: [Deny]}
`, selector)
}

// refusesEvents waits until the API server refuses an event like ours, in these words.
func (c *cluster) refusesEvents(t *testing.T, namespace, words string) {
	t.Helper()

	file := harness.File(t, fmt.Sprintf(`
apiVersion: v1
kind: Event
metadata: {name: probe, namespace: %[1]s}
involvedObject: {kind: Namespace, name: %[1]s, namespace: %[1]s}
source: {component: telltale}
type: Warning
reason: Probe
`, namespace))
	harness.Eventually(t, "a refusal", func(ctx context.Context) error {
		_, err := c.Kubectl(ctx, "create", "-f", file, "--dry-run=server")
		if err != nil && strings.Contains(err.Error(), words) {
			return nil
		}

		return errors.Join(errors.New("not refused"), err)
	})
}
