//go:build apiserver

package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/harness"
)

// limited are manifests: a namespace with a quota that asks each container for a
// limit of CPU, and one with a LimitRange that has a maximum of memory.
const limited = `---
apiVersion: v1
kind: Namespace
metadata: {name: quota}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: compute, namespace: quota}
spec: {hard: {limits.cpu: "100", pods: "100"}}
---
apiVersion: v1
kind: Namespace
metadata: {name: limits}
---
apiVersion: v1
kind: LimitRange
metadata: {name: small, namespace: limits}
spec: {limits: [{type: Container, max: {memory: 128Mi}, default: {memory: 64Mi}}]}
`

// TestLimits runs pods in namespaces with a quota and with limits, with the
// admission plugins that enforce them: all pods exist, without the Injections
// that these refuse, and with those that they do not.
func TestLimits(t *testing.T) {
	t.Parallel()

	c, port := startInstalled(t)
	c.apply(t, limited)
	c.output(t, `"limits.cpu"`, "get", "resourcequota", "compute", "-n", "quota", "-o", "jsonpath={.status.hard}")

	p := c.launch(t, port)
	harness.WaitReady(t, p)
	c.output(t, "LS0t", "get", "mutatingwebhookconfiguration", "telltale", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")

	c.apply(t, added("silent", "initContainers: [{name: setup, image: z}]")+
		added("greedy", "initContainers: [{name: setup, image: z, resources: {limits: {cpu: 1m, memory: 1Gi}}}]")+
		added("modest", "initContainers: [{name: setup, image: z, resources: {limits: {cpu: 1m, memory: 8Mi}}}]"))
	c.kubectl(t, "wait", "--for=condition=Ready", "clusterinjections", "--all")

	for _, app := range []string{"silent", "greedy", "modest"} {
		for namespace, refuses := range map[string]string{"quota": "silent", "limits": "greedy"} {
			c.apply(t, strings.Replace(strictDeployment(namespace, app), "image: registry.example/app:1",
				"image: registry.example/app:1\n        resources: {limits: {cpu: 1m, memory: 8Mi}}", 1))

			want := "[ADDED]\n"
			if refuses == app {
				want = "[]\n"
			}

			c.output(t, strings.Repeat(want, 2), "get", "pods", "-n", namespace, "-l", "app="+app, "-o",
				`jsonpath={range .items[*]}[{.spec.containers[0].env[*].name}]{"\n"}{end}`)
		}
	}

	for _, shown := range []struct{ namespace, app, text string }{
		{"quota", "silent", `ResourceQuota "compute" wants limits.cpu for init container "setup". Set spec.initContainers[0].resources.`},
		{"limits", "greedy", `LimitRange "small" refuses the pod: maximum memory usage per Container is 128Mi, but limit is 1Gi. Set resources`},
	} {
		for _, text := range []string{"InjectionForbidden", "(x2 over ", shown.text} {
			c.output(t, text, "describe", "deployment", shown.app, "-n", shown.namespace)
		}
	}

	// A quota that is gone asks nothing.
	c.kubectl(t, "delete", "resourcequota", "compute", "-n", "quota")
	harness.Eventually(t, "the quota is forgotten", func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, "create", "-n", "quota", "--dry-run=server", "-o", "jsonpath={.metadata.annotations}", "-f", c.write(t, `
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: quota, labels: {app: silent}}
spec: {containers: [{name: app, image: a}]}
`))
		if err == nil && !strings.Contains(out, v1alpha1.InjectedAnnotation) {
			err = errors.New(out)
		}

		return err
	})
}
