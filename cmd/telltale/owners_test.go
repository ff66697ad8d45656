//go:build apiserver

package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/test/harness"
)

// podTemplate is the template of every workload of TestOwners: its container
// sets HTTP_PROXY itself.
func podTemplate(app, restartPolicy string) string {
	return fmt.Sprintf(`metadata: {labels: {app: %s}}
    spec:
      restartPolicy: %s
      containers:
      - {name: app, image: registry.example/app:1, env: [{name: HTTP_PROXY, value: own}]}
`, app, restartPolicy)
}

// workload is a manifest of a kind that has spec.selector and spec.template.
func workload(kind, name, more string) string {
	return fmt.Sprintf(`---
apiVersion: apps/v1
kind: %s
metadata: {name: %s, namespace: shop}
spec:
  selector: {matchLabels: {app: %s}}%s
  template:
    %s`, kind, name, name, more, podTemplate(name, "Always"))
}

// TestOwners lets real controllers make pods of every kind of workload: each
// failure is shown where `kubectl describe` looks for it.
func TestOwners(t *testing.T) {
	t.Parallel()

	c, port := startInstalled(t)
	harness.WaitReady(t, c.launch(t, port))
	c.output(t, "LS0t", "get", "mutatingwebhookconfiguration", "telltale", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")

	c.apply(t, strings.Replace(envInjection("proxy", "x", "HTTP_PROXY", "other"), "{matchLabels: {app: x}}", "{}", 1))
	c.kubectl(t, "wait", "--for=condition=Ready", "-n", "shop", "injections", "--all")

	// A DaemonSet makes a pod only if there is a node.
	c.apply(t, "apiVersion: v1\nkind: Node\nmetadata: {name: one}\n")
	c.apply(t, fmt.Sprintf(`---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: shop}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:
        %s`, strings.ReplaceAll(podTemplate("nightly", "Never"), "\n", "\n    ")))
	c.apply(t, workload("Deployment", "web", "")+workload("ReplicaSet", "bare-set", "")+
		workload("StatefulSet", "db", "\n  serviceName: db")+workload("DaemonSet", "agent", "")+
		"---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: once, namespace: shop}\nspec:\n  template:\n    "+podTemplate("once", "Never"))

	// Bare pods, one with a name and one without. If the pod has no name, its
	// owner is its namespace.
	c.apply(t, barePod("name: shell", ""))
	c.kubectl(t, "create", "-f", c.write(t, barePod("generateName: made-", "")))

	// An owner of a kind that Telltale does not know.
	c.apply(t, widgetCRD)
	c.kubectl(t, "wait", "--for=condition=Established", "crd/widgets.example.com")
	widget := c.write(t, "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: thing, namespace: shop}\n")
	harness.Eventually(t, "a Widget", func(ctx context.Context) error { // kubectl must discover the kind
		_, err := c.Kubectl(ctx, "apply", "-f", widget)

		return err
	})
	uid := c.kubectl(t, "get", "widget", "thing", "-n", "shop", "-o", "jsonpath={.metadata.uid}")
	c.apply(t, barePod("name: thing-0",
		"\n  ownerReferences: [{apiVersion: example.com/v1, kind: Widget, name: thing, uid: "+uid+", controller: true}]"))

	for _, owner := range []string{
		"deployment/web", "replicaset/bare-set", "statefulset/db", "daemonset/agent", "job/once", "pod/shell", "widget/thing",
		"cronjob/nightly",
	} {
		c.output(t, "InjectionConflict", "describe", owner, "-n", "shop")
	}

	c.output(t, "Last pod: made-*", "events", "--for", "namespace/shop", "-n", "shop")
}

func barePod(name, owners string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata:
  %s
  namespace: shop%s
spec:
  containers:
  - {name: app, image: registry.example/app:1, env: [{name: HTTP_PROXY, value: own}]}
`, name, owners)
}

const widgetCRD = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  names: {kind: Widget, plural: widgets, singular: widget}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
`
