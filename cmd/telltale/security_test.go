//go:build apiserver

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/test/harness"
)

// secured is a manifest: a namespace that enforces a Pod Security level, or no
// level.
func secured(name, level string) string {
	labels := ""
	if level != "" {
		labels = ", labels: {pod-security.kubernetes.io/enforce: " + level + "}"
	}

	return fmt.Sprintf("---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %s%s}\n", name, labels)
}

// strictDeployment is a manifest: an app that every level admits. Its settings
// are those of the whole pod.
func strictDeployment(namespace, app string) string {
	return fmt.Sprintf(`---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  replicas: 2
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec:
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: app
        image: registry.example/app:1
        securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`, namespace, app)
}

// added is a manifest: a ClusterInjection of a variable, and more, for the pods
// of an app.
func added(app, more string) string {
	return fmt.Sprintf(`---
apiVersion: telltale.dev/v1alpha1
kind: ClusterInjection
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  env: [{name: ADDED, value: a}]
  %[2]s
`, app, more)
}

// TestPodSecurity runs pods in namespaces of each level, with the admission
// plugin that enforces it. All pods start: without the Injections that the
// level forbids, and with all others.
func TestPodSecurity(t *testing.T) {
	t.Parallel()

	c, port := startInstalled(t)
	c.apply(t, secured("open", "")+secured("privileged", "privileged")+secured("baseline", "baseline")+secured("restricted", "restricted"))

	p := c.launch(t, port)
	harness.WaitReady(t, p)
	c.output(t, "LS0t", "get", "mutatingwebhookconfiguration", "telltale", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")

	const most = "allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}"

	c.apply(t, added("needy", "initContainers: [{name: setup, image: z, securityContext: {privileged: true}}]")+
		added("silent", "initContainers: [{name: setup, image: z}]")+
		added("covered", "initContainers: [{name: setup, image: z, securityContext: {"+most+"}}]")+
		added("hostpath", "volumes: [{name: logs, hostPath: {path: /var/log}}]\n  volumeMounts: [{name: logs, mountPath: /logs}]")+
		added("profile", "annotations: {container.apparmor.security.beta.kubernetes.io/app: unconfined}")+
		added("harmless", "volumes: [{name: scratch, emptyDir: {}}]\n  volumeMounts: [{name: scratch, mountPath: /scratch}]"))
	c.kubectl(t, "wait", "--for=condition=Ready", "clusterinjections", "--all")

	failures := 0.0

	for _, app := range []string{"needy", "silent", "covered", "hostpath", "profile", "harmless"} {
		for namespace, forbids := range map[string]string{
			"open": "", "privileged": "", "baseline": "needy hostpath profile", "restricted": "needy silent hostpath profile",
		} {
			c.apply(t, strictDeployment(namespace, app))

			want := "ADDED=cluster/" + app + "@[0-9a-f]{8}=\n"
			if strings.Contains(forbids, app) {
				want = "==cluster/" + app + "@[0-9a-f]{8}=InjectionForbidden\n"
				failures += 2
			}

			c.matches(t, "("+want+"){2}", "get", "pods", "-n", namespace, "-l", "app="+app, "-o",
				`jsonpath={range .items[*]}{.spec.containers[0].env[*].name}={.metadata.annotations.telltale\.dev/injected}=`+
					`{.metadata.annotations.telltale\.dev/failed}{"\n"}{end}`)
		}
	}

	for _, shown := range []struct{ namespace, app, text string }{
		{"baseline", "needy", `the pod would violate the namespace's Pod Security level "baseline:latest": privileged (container "setup" must not`},
		{"baseline", "hostpath", `level "baseline:latest": hostPath volumes (volume "logs"). Change the Injection, or the level.`},
		{"restricted", "silent", `level "restricted:latest": allowPrivilegeEscalation != false (container "setup" must set`},
	} {
		for _, text := range []string{"InjectionForbidden", "(x2 over ", shown.text} {
			c.output(t, text, "describe", "deployment", shown.app, "-n", shown.namespace)
		}
	}

	if n, err := p.Metric(t.Context(), "telltale_injection_failures_total", "InjectionForbidden"); err != nil || n != failures {
		t.Errorf("%v were forbidden (%v), want %v", n, err, failures)
	}
}

// TestPodSecurityOfNewNamespaces creates namespaces and their Deployments at
// the same time, so the labels of a namespace are as new to Telltale as
// possible. A level is never missed, and an Injection that every level allows
// is always applied.
func TestPodSecurityOfNewNamespaces(t *testing.T) {
	t.Parallel()

	c, port := startInstalled(t)

	p := c.launch(t, port)
	harness.WaitReady(t, p)
	c.output(t, "LS0t", "get", "mutatingwebhookconfiguration", "telltale", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")
	c.apply(t, added("needy", "initContainers: [{name: setup, image: z, securityContext: {privileged: true}}]")+
		added("harmless", "volumes: [{name: scratch, emptyDir: {}}]\n  volumeMounts: [{name: scratch, mountPath: /scratch}]"))
	c.kubectl(t, "wait", "--for=condition=Ready", "clusterinjections", "--all")

	const namespaces = 20

	var all strings.Builder
	for i := range namespaces {
		name := fmt.Sprintf("new-%d", i)
		all.WriteString(secured(name, "baseline") + strictDeployment(name, "needy") + strictDeployment(name, "harmless"))
	}

	c.apply(t, all.String())
	harness.Eventually(t, "pods", func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, "get", "pods", "-A", "-l", "app in (needy,harmless)", "-o",
			`jsonpath={range .items[*]}{.metadata.annotations}{"\n"}{end}`)
		if err != nil {
			return err
		}

		harmless := strings.Count(out, `"telltale.dev/injected":"cluster/harmless@`)
		needy := strings.Count(out, `"telltale.dev/failed":"cluster/needy@`)

		if harmless != 2*namespaces || needy != 2*namespaces {
			return errors.New(out)
		}

		return nil
	})

	early, err := p.Metric(t.Context(), "telltale_injection_failures_total", "InjectionsNotLoaded")
	if err != nil {
		t.Fatal(err)
	}

	t.Logf("%v of %d pods came before the labels of their namespace", early, 2*namespaces)
}
