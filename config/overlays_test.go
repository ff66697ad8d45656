//go:build apiserver

package config_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// prometheusOperator is the module with the CRDs that config/prometheus uses. Only
// this test needs it, so it is in none of our go.mod files; the sum pins it as
// go.sum would.
const (
	prometheusOperator    = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
	prometheusOperatorSum = "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="
)

// testOverlays builds each folder that users apply, and applies it as a dry run.
func testOverlays(t *testing.T, c cluster) {
	t.Helper()

	c.installCRDs(
		certManagerCRD(t, "issuers"), certManagerCRD(t, "certificates"),
		prometheusCRD(t, "servicemonitors"), prometheusCRD(t, "prometheusrules"))
	// A dry run creates no namespace for the objects that follow.
	c.kubectl("apply", "-f", "namespace/namespace.yaml", "-f", "canary/namespace/namespace.yaml", "-f", "samples/injections/namespace.yaml")

	cases := map[string]struct {
		reason string
		folder string
	}{
		"Default":     {"The README installs it.", "default"},
		"CertManager": {"For clusters with cert-manager; its own CRDs judge it here.", "overlays/cert-manager"},
		"Small":       {"For small clusters.", "overlays/small"},
		"Local":       {"For a Telltale outside the cluster.", "overlays/local"},
		"Prometheus":  {"For clusters with the Prometheus operator; its own CRDs judge it here.", "prometheus"},
		"Grafana":     {"For Grafana with its sidecar.", "grafana"},
		"Samples":     {"New users apply these first.", "samples"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			built := build(t, tc.folder)
			accepted := c.in(t).kubectl("apply", "--dry-run=server", "-f", write(t, built))

			if got, want := strings.Count(accepted, "(server dry run)"), strings.Count("\n"+built, "\nkind: "); got != want || want == 0 {
				t.Errorf("%s\n%d of %d objects accepted:\n%s", tc.reason, got, want, accepted)
			}
		})
	}
}

// testAgain holds that the manifests say all that they mean: applied twice, they
// change nothing.
func testAgain(t *testing.T, c cluster) {
	t.Helper()

	if diff, err := c.Kubectl(t.Context(), "diff", "-k", "default"); err != nil {
		t.Errorf("applying it again would change something: %v\n%s", err, diff)
	}
}

// testCABundleIsLeft holds the promise of docs/install.md for GitOps: if a tool
// applies the manifests again, in any of the usual ways, the caBundle stays. Only a
// replacement empties it.
func testCABundleIsLeft(t *testing.T, c cluster) {
	t.Helper()

	const caBundle = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg=="

	c.kubectl("patch", "mutatingwebhookconfiguration", "telltale", "--type=json", "--field-manager=telltale",
		"--patch", `[{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": "`+caBundle+`"}]`)

	cases := []struct {
		reason string
		args   []string
		want   string
	}{
		{"kubectl apply, and Argo CD as it comes.", []string{"apply"}, caBundle},
		{"Flux, and Argo CD with ServerSideApply=true.", []string{"apply", "--server-side", "--force-conflicts", "--field-manager=gitops"}, caBundle},
		{"Argo CD with Replace=true.", []string{"replace"}, ""},
	}
	for _, tc := range cases {
		c.kubectl(append(tc.args, "-f", "webhook/manifests.yaml")...)

		got := c.kubectl("get", "mutatingwebhookconfiguration", "telltale", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")
		if got != tc.want {
			t.Errorf("%s kubectl %v leaves the caBundle %q, want %q", tc.reason, tc.args, got, tc.want)
		}
	}
}

// testPods holds that the Deployment makes its pods: the namespace's Pod Security
// level and its quota of critical pods allow them.
func testPods(t *testing.T, c cluster) {
	t.Helper()
	c.kubectl("wait", "--for=jsonpath={.status.replicas}=2", "--namespace=telltale-system", "deployment/telltale")
}

// testInstaller holds that dist/install.yaml is config/default, but for the
// image.
func testInstaller(t *testing.T, c cluster) {
	t.Helper()

	const image = "registry.example:5000/team/telltale:v9"

	dist := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "make", "-C", "..", "installer", "IMAGE="+image, "DIST="+dist).CombinedOutput()
	if err != nil {
		t.Fatalf("make installer: %v\n%s", err, out)
	}

	file := filepath.Join(dist, "install.yaml")
	c.kubectl("apply", "-f", file)

	if got := c.kubectl("get", "deployment", "telltale", "-n", "telltale-system", "-o", "jsonpath={..image}"); got != image {
		t.Errorf("it installs %q", got)
	}

	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	if want := strings.ReplaceAll(build(t, "default"), "telltale:latest", image); want != string(written) {
		t.Errorf("it is not config/default with another image:\n%s", cmp.Diff(want, string(written)))
	}
}

// testUninstalled holds that the command of docs/install.md leaves nothing: all that
// the manifests had is gone, and the namespaces with all that is in them.
func testUninstalled(t *testing.T, c cluster) {
	t.Helper()
	c.kubectl("delete", "-k", "default", "--ignore-not-found", "--timeout=3m")

	left := c.kubectl("get", "namespaces,clusterroles,clusterrolebindings,mutatingwebhookconfigurations,crds", "-o",
		`jsonpath={range .items[*]}{.kind}/{.metadata.name}{"\n"}{end}`)
	for line := range strings.Lines(left) {
		if strings.Contains(line, "telltale") {
			t.Errorf("it leaves %s", line)
		}
	}
}

func certManagerCRD(t *testing.T, plural string) string {
	t.Helper()

	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager").Output()
	if err != nil {
		t.Fatalf("cannot find cert-manager's module: %v", err)
	}

	return filepath.Join(strings.TrimSpace(string(dir)), "deploy", "crds", "cert-manager.io_"+plural+".yaml")
}

func prometheusCRD(t *testing.T, plural string) string {
	t.Helper()

	out, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", prometheusOperator).Output()
	if err != nil {
		t.Fatalf("cannot download %s: %v\n%s", prometheusOperator, err, out)
	}

	var module struct{ Dir, Sum string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}

	if module.Sum != prometheusOperatorSum {
		t.Fatalf("%s is not what it was: its sum is %s", prometheusOperator, module.Sum)
	}

	return filepath.Join(module.Dir, "example/prometheus-operator-crd/monitoring.coreos.com_"+plural+".yaml")
}
