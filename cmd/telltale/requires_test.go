//go:build apiserver

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// ready is where an Injection says whether it is in force.
const ready = `{.status.conditions[?(@.type=="Ready")].message}`

// requiring is a manifest: an Injection that requires an object.
func requiring(name, app, requires string) string {
	return envInjection(name, app, "SSL_CERT_FILE", "/etc/corp/ca.crt") + "  requires: [" + requires + "]\n"
}

// corpCA is a manifest: the ConfigMap of a namespace.
func corpCA(namespace, key string) string {
	return fmt.Sprintf("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: corp-ca, namespace: %s}\ndata: {%s: x}\n", namespace, key)
}

// TestRequires has Injections require what is not there, lacks a key, comes, and can't
// be looked at; then namespaces are born with all they need.
func TestRequires(t *testing.T) {
	t.Parallel()

	c, port := startInstalled(t)

	p := c.launch(t, port)
	harness.WaitReady(t, p)
	c.output(t, "LS0t", "get", "mutatingwebhookconfiguration", "telltale", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")

	c.apply(t, requiring("ca", "checkout", "{kind: ConfigMap, name: corp-ca, keys: [ca.crt]}")+
		requiring("token", "payments", "{kind: Secret, name: token}"))
	c.kubectl(t, "wait", "--for=condition=Ready", "-n", "shop", "injections", "--all")
	c.output(t, `Secret "token" counts as there: Telltale may not look at Secrets. The component config/components/secrets lets it.`,
		"get", "injection", "token", "-n", "shop", "-o", "jsonpath="+ready)

	c.apply(t, deployment("checkout", 2)+deployment("payments", 1))
	c.output(t, "HTTP_PROXY\nHTTP_PROXY\n", envOf("checkout")...)
	c.output(t, "SSL_CERT_FILE HTTP_PROXY\n", envOf("payments")...)
	c.output(t, `InjectionUnmet`, "describe", "deployment", "checkout", "-n", "shop")
	c.output(t, `Injection "ca" not applied: ConfigMap "corp-ca" is not in namespace shop. Create it there, or take it out of the Injection's requires.`,
		"describe", "deployment", "checkout", "-n", "shop")

	c.apply(t, corpCA("shop", "wrong.crt"))
	c.recreated(t, "checkout", 2, "HTTP_PROXY\nHTTP_PROXY\n",
		`ConfigMap "corp-ca" in namespace shop has no key "ca.crt". Add it there`)
	c.apply(t, corpCA("shop", "ca.crt"))
	c.recreated(t, "checkout", 2, "SSL_CERT_FILE HTTP_PROXY\nSSL_CERT_FILE HTTP_PROXY\n", "InjectionRestored")

	// The right to look at Secrets comes, and one more replica is told to use it.
	role, err := os.ReadFile("../../config/components/secrets/role.yaml")
	if err != nil {
		t.Fatal(err)
	}

	binding, err := os.ReadFile("../../config/components/secrets/role_binding.yaml")
	if err != nil {
		t.Fatal(err)
	}

	p.Kill()

	p = c.launch(t, port, "--watch-secrets")
	harness.WaitReady(t, p)
	c.output(t, `Telltale may not list secrets. Its ClusterRole must have list and watch of them.`,
		"get", "injection", "token", "-n", "shop", "-o", "jsonpath="+ready)
	c.apply(t, string(role)+"---\n"+string(binding))
	c.recreated(t, "payments", 1, "HTTP_PROXY\n", `Secret "token" is not in namespace shop.`)

	c.births(t, p)

	for _, outcome := range []string{"came", "missing", "full"} {
		n, err := p.Metric(t.Context(), "telltale_admission_waits_total", outcome)
		t.Logf("%v waits ended as %q (%v)", n, outcome, err)
	}
}

// recreated deletes the pods of an app until all have these variables, and waits until
// its Deployment says a text.
func (c *cluster) recreated(t *testing.T, app string, replicas int, want, text string) {
	t.Helper()

	harness.Eventually(t, app+" with "+want, func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, envOf(app)...)
		if err != nil {
			return err
		}

		shown, err := c.Kubectl(ctx, "describe", "deployment", app, "-n", "shop")
		if err == nil && out == want && strings.Contains(shown, text) {
			return nil
		}

		if strings.Count(out, "\n") == replicas && out != want || err == nil && !strings.Contains(shown, text) {
			_, err = c.Kubectl(ctx, "delete", "pods", "-n", "shop", "-l", "app="+app, "--grace-period=0", "--force")
		}

		return errors.Join(err, errors.New(out+shown))
	})
}

// births makes namespaces, each with its pods and with what they require in one apply.
// A pod comes without only if its review waited for as long as it may: this machine is
// busy then.
func (c *cluster) births(t *testing.T, p *telltale.Replica) {
	t.Helper()

	missing := func(ctx context.Context) (int, error) {
		n, err := p.Metric(ctx, "telltale_admission_waits_total", "missing")

		return int(n), err
	}

	before, err := missing(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	c.apply(t, `---
apiVersion: telltale.dev/v1alpha1
kind: ClusterInjection
metadata: {name: ca}
spec:
  selector: {matchLabels: {app: born}}
  requires: [{kind: References}]
  volumes: [{name: ca, configMap: {name: corp-ca, items: [{key: ca.crt, path: ca.crt}]}}]
  volumeMounts: [{name: ca, mountPath: /etc/corp}]
`)
	c.kubectl(t, "wait", "--for=condition=Ready", "clusterinjections", "--all")

	const times = 20
	for i := range times {
		namespace := fmt.Sprintf("born-%d", i)
		c.apply(t, "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: "+namespace+", labels: {born: \"yes\"}}\n"+
			strings.Replace(deployment("born", 1), "namespace: shop", "namespace: "+namespace, 1)+corpCA(namespace, "ca.crt"))
	}

	late := 0

	harness.Eventually(t, "a pod of each", func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, "get", "pods", "-A", "-l", "app=born",
			"-o", `jsonpath={range .items[*]}{.spec.containers[0].volumeMounts[?(@.name=="ca")].mountPath}{"\n"}{end}`)
		all, failed := missing(ctx)
		pods, with := strings.Count(out, "\n"), strings.Count(out, "/etc/corp\n")
		late = all - before

		if err = errors.Join(err, failed); err == nil && (pods != times || with+late < times || with < times/2) {
			err = fmt.Errorf("%d pods, %d with the Injection; %d waited in full", pods, with, late)
		}

		return err
	})

	failed := c.kubectl(t, "get", "events", "-A", "--field-selector", "reason=InjectionUnmet", "-o", `jsonpath={range .items[*]}{.metadata.namespace}{"\n"}{end}`)
	if strings.Count(failed, "born") > late {
		t.Errorf("pods of these namespaces were born without, and %d waited in full: %s", late, failed)
	}
}
