//go:build apiserver && chart

package config_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
)

// TestChartInstalled is the life of a chart on a real API server: an old one is
// installed, upgraded, removed and installed again, and takes over what kubectl applied.
func TestChartInstalled(t *testing.T) {
	c := start(t, controlplane.Options{})

	t.Run("Install", func(t *testing.T) { testChartInstall(t, c.in(t)) })
	t.Run("Upgrade", func(t *testing.T) { testChartUpgrade(t, c.in(t)) })
	t.Run("CABundleIsLeft", func(t *testing.T) { testChartCABundle(t, c.in(t)) })
	t.Run("Uninstall", func(t *testing.T) { testChartUninstall(t, c.in(t)) })
	t.Run("Again", func(t *testing.T) { testChartAgain(t, c.in(t)) })
	t.Run("TakeOver", func(t *testing.T) { testChartTakeOver(t, c.in(t)) })
}

// testChartInstall installs a chart of an older version, whose CRDs lack the category
// telltale.
func testChartInstall(t *testing.T, c cluster) {
	t.Helper()

	out := c.helm("install", "telltale", oldChart(t), "--namespace=telltale-system", "--create-namespace", "--set=image.repository=registry.example/telltale")
	if !strings.Contains(out, "kubectl label namespace telltale-system") {
		t.Errorf("the notes do not say that the namespace has no label:\n%s", out)
	}

	c.kubectl("wait", "--for=condition=Established", "crd/injections.telltale.dev", "crd/clusterinjections.telltale.dev")
	c.kubectl("wait", "--for=jsonpath={.status.replicas}=2", "--namespace=telltale-system", "deployment/telltale")
	c.eventually("create", "namespace", "shop")
	c.eventually("apply", "--namespace=shop", "-f", harness.File(t, injectionOfUser))
}

const injectionOfUser = `{apiVersion: telltale.dev/v1alpha1, kind: Injection, metadata: {name: proxy}, spec: {selector: {}, env: [{name: A, value: b}]}}`

// testChartUpgrade holds that an upgrade reaches the CRDs, too: Helm never upgrades
// those of a folder crds.
func testChartUpgrade(t *testing.T, c cluster) {
	t.Helper()
	c.kubectl("label", "namespace", "telltale-system", "telltale.dev/inject=disabled")

	out := c.helm("upgrade", "telltale", chart, "--namespace=telltale-system", "--reset-then-reuse-values", "--set=replicas=3,heal={stuck}")
	if strings.Contains(out, "kubectl label namespace") {
		t.Errorf("the notes do not see that the namespace has the label:\n%s", out)
	}

	c.kubectl("wait", "--for=jsonpath={.spec.replicas}=3", "--namespace=telltale-system", "deployment/telltale")
	c.eventually("get", "telltale", "--namespace=shop") // the category

	if got := c.kubectl("get", "crd", "injections.telltale.dev", "-o", "jsonpath={.spec.names.categories}"); got != `["telltale"]` {
		t.Errorf("after the upgrade the CRD has the categories %s", got)
	}

	if got := c.kubectl("get", "deployment", "telltale", "-n", "telltale-system", "-o", "jsonpath={..image}"); got != "registry.example/telltale:latest" {
		t.Errorf("after the upgrade the image is %s", got)
	}

	c.kubectl("get", "injection", "proxy", "--namespace=shop")
	c.eventually("auth", "can-i", "create", "pods", "--subresource=eviction", "--as=system:serviceaccount:telltale-system:telltale")
}

// testChartCABundle holds the promise of docs/install.md: Helm leaves it alone.
func testChartCABundle(t *testing.T, c cluster) {
	t.Helper()

	const caBundle = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg=="

	c.kubectl("patch", "mutatingwebhookconfiguration", "telltale", "--type=json", "--field-manager=telltale",
		"--patch", `[{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": "`+caBundle+`"}]`)

	for _, way := range []string{"--server-side=true", "--server-side=false"} { // Helm 4's, and Helm 3's
		c.helm("upgrade", "telltale", chart, "--namespace=telltale-system", way, "--set=webhook.port=10250")
		c.helm("upgrade", "telltale", chart, "--namespace=telltale-system", way, "--set=certManager.enabled=false,webhook.port=9443")

		if got := c.kubectl("get", "mutatingwebhookconfiguration", "telltale", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}"); got != caBundle {
			t.Errorf("helm upgrade %s leaves the caBundle %q", way, got)
		}
	}
}

// testChartUninstall holds that it leaves the CRDs and the users' Injections, and nothing
// else.
func testChartUninstall(t *testing.T, c cluster) {
	t.Helper()
	c.helm("uninstall", "telltale", "--namespace=telltale-system", "--wait", "--timeout=3m")
	c.kubectl("get", "injection", "proxy", "--namespace=shop")

	if left := c.left(); len(left) != 3 {
		t.Errorf("it leaves %q, want the namespace that Helm made and the CRDs", left)
	}
}

// testChartAgain holds that a release of the same name takes up its CRDs, and takes them
// away if it is told to.
func testChartAgain(t *testing.T, c cluster) {
	t.Helper()
	c.helm("install", "telltale", chart, "--namespace=telltale-system", "--set=crds.keep=false")
	c.kubectl("get", "injection", "proxy", "--namespace=shop")
	c.helm("uninstall", "telltale", "--namespace=telltale-system", "--wait", "--timeout=3m")

	if left := c.left(); len(left) != 1 {
		t.Errorf("it leaves %q, want the namespace that Helm made", left)
	}
}

// testChartTakeOver holds that a Telltale that kubectl applied can become Helm's.
func testChartTakeOver(t *testing.T, c cluster) {
	t.Helper()
	c.kubectl("apply", "-k", "default")
	c.kubectl("wait", "--for=condition=Established", "-f", "crd/bases")
	c.eventually("apply", "--namespace=shop", "-f", harness.File(t, injectionOfUser))
	c.helm("install", "telltale", chart, "--namespace=telltale-system", "--take-ownership", "--force-conflicts", "--set=image.tag=v2,replicas=3")
	c.kubectl("get", "injection", "proxy", "--namespace=shop")

	if got := c.kubectl("get", "deployment", "telltale", "-n", "telltale-system", "-o", "jsonpath={..image} {.spec.replicas}"); got != "telltale:v2 3" {
		t.Errorf("the Deployment has %s", got)
	}
}

// left are the objects of the whole cluster with Telltale's name.
func (c cluster) left() (left []string) {
	c.t.Helper()

	all := c.kubectl("get", "namespaces,clusterroles,clusterrolebindings,mutatingwebhookconfigurations,crds", "-o",
		`jsonpath={range .items[*]}{.kind}/{.metadata.name}{"\n"}{end}`)
	for line := range strings.Lines(all) {
		if strings.Contains(line, "telltale") {
			left = append(left, strings.TrimSpace(line))
		}
	}

	return left
}

func (c cluster) helm(args ...string) string {
	c.t.Helper()

	cmd := exec.CommandContext(c.t.Context(), os.Getenv("TELLTALE_HELM"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.KubeconfigPath)

	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("helm %s: %v\n%.2000s", strings.Join(args, " "), err, out)
	}

	return string(out)
}

// oldChart packs the chart with CRDs that are in another category.
func oldChart(t *testing.T) string {
	t.Helper()

	dir := filepath.Join(t.TempDir(), "telltale")
	if err := os.CopyFS(dir, os.DirFS(chart)); err != nil {
		t.Fatal(err)
	}

	for _, file := range []string{"injections", "clusterinjections"} {
		path := filepath.Join(dir, "templates/crd/bases/telltale.dev_"+file+".yaml")
		text := read(t, path)
		older := bytes.Replace(text, []byte("categories:\n    - telltale\n"), []byte("categories:\n    - older\n"), 1)

		if bytes.Equal(text, older) {
			t.Fatalf("%s has no category telltale", path)
		}

		if err := os.WriteFile(path, older, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	helm(t, "package", dir, "--version=0.0.1", "--app-version=v1", "--destination="+filepath.Dir(dir))

	return filepath.Join(filepath.Dir(dir), "telltale-0.0.1.tgz")
}
