//go:build apiserver && chart

package config_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/telltale-dev/telltale/test/harness"
)

const chart = "../charts/telltale"

// manifest is an object of any kind.
type manifest map[string]any

// TestChartRenders holds that Helm renders what kustomize builds, object by object: for
// the defaults, for each value alone, and for many at once.
func TestChartRenders(t *testing.T) {
	plain := option{reason: "As most people install it."}.kustomize(t)
	if len(plain) < 30 {
		t.Fatalf("kustomize builds %d objects", len(plain))
	}

	cases := options()
	cases["AllOn"] = allOn()
	cases["AllOnCertManager"] = allOn().and(cases["CertManager"])

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			built := tc.kustomize(t)
			if cmp.Equal(plain, built) {
				t.Fatal("kustomize builds what it does by default: the case shows nothing")
			}

			if diff := cmp.Diff(built, rendered(t, tc.values)); diff != "" {
				t.Errorf("%s\n-kustomize +helm\n%s", tc.reason, diff)
			}
		})
	}

	if diff := cmp.Diff(plain, rendered(t, "")); diff != "" {
		t.Errorf("the defaults: -kustomize +helm\n%s", diff)
	}
}

// allOn has all values at once that go with all others.
func allOn() (all option) {
	every := options()
	for _, name := range []string{"Heal", "Readers", "MonitorLabels", "DashboardLabel", "Image", "PullSecret", "Priority", "Resources", "Nodes", "Affinity", "PodLabels", "PodAnnotations", "ServiceAccount", "Port", "APIServers", "OTLP", "More"} {
		all = all.and(every[name])
	}

	all.reason = "Values do not depend on one another."

	return all
}

// TestChartHasNoOtherValues holds that each value of the chart is in a case, so that
// kustomize can do it, too.
func TestChartHasNoOtherValues(t *testing.T) {
	var all, used map[string]any
	if err := yaml.Unmarshal(read(t, chart+"/values.yaml"), &all); err != nil {
		t.Fatal(err)
	}

	covered := map[string]bool{"crds.keep": true, "otlp.headersSecret.key": true}

	for _, o := range options() {
		used = nil
		if err := yaml.Unmarshal([]byte(o.values), &used); err != nil {
			t.Fatal(err)
		}

		for _, name := range valueNames(used, all) {
			covered[name] = true
		}
	}

	for _, name := range valueNames(all, all) {
		if !covered[name] {
			t.Errorf("no case has %s", name)
		}
	}
}

// valueNames are the paths of values: groups are those that are groups of values.yaml.
func valueNames(values, all map[string]any) (paths []string) {
	for name, value := range values {
		group, isGroup := value.(map[string]any)
		known, _ := all[name].(map[string]any)

		if free := []string{"affinity", "annotations", "labels", "metricsNamespaceLabels", "nodeSelector", "podAnnotations", "podLabels", "resources"}; !isGroup || slices.Contains(free, name) {
			paths = append(paths, name)

			continue
		}

		for _, inner := range valueNames(group, known) {
			paths = append(paths, name+"."+inner)
		}
	}

	return paths
}

// TestChartElsewhere holds that only the namespace differs in another namespace, that of
// the canary apart.
func TestChartElsewhere(t *testing.T) {
	values := allOn().and(options()["CertManager"]).values
	here := helm(t, "template", "telltale", chart, "--namespace=telltale-system", "--values="+harness.File(t, values))
	there := helm(t, "template", "telltale", chart, "--namespace=injection", "--values="+harness.File(t, values))

	if diff := cmp.Diff(strings.ReplaceAll(here, "telltale-system", "injection"), there); diff != "" || here == there {
		t.Errorf("-telltale-system +injection\n%s", diff)
	}

	// Numbers are names, too.
	if n := objects(t, helm(t, "template", "telltale", chart, "--namespace=42"))["Deployment/42/telltale"]; n == nil {
		t.Error("there is no Deployment in namespace 42")
	}
}

// TestChartKeepsCRDs holds that an uninstallation keeps them, unless the user says so.
func TestChartKeepsCRDs(t *testing.T) {
	for values, want := range map[string]int{"": 2, "crds: {keep: false}": 0} {
		if n := strings.Count(helm(t, "template", "telltale", chart, "--values="+harness.File(t, values)), "helm.sh/resource-policy: keep"); n != want {
			t.Errorf("%q keeps %d objects, want %d", values, n, want)
		}
	}
}

// TestChartLints holds that Helm finds no fault, with the defaults and with all on.
func TestChartLints(t *testing.T) {
	for _, values := range []string{"", allOn().values} {
		if out := helm(t, "lint", "--strict", chart, "--values="+harness.File(t, values)); !strings.Contains(out, "1 chart(s) linted, 0 chart(s) failed") {
			t.Errorf("helm lint says:\n%s", out)
		}
	}
}

// TestChartIsAPart holds that a chart of the user's can have this one as a part. Helm
// gives a part values of its own.
func TestChartIsAPart(t *testing.T) {
	dir := t.TempDir()
	way, err := filepath.Abs(chart)
	if err != nil {
		t.Fatal(err)
	}

	if err := os.MkdirAll(filepath.Join(dir, "charts"), 0o700); err != nil {
		t.Fatal(err)
	}

	for name, text := range map[string]string{
		"Chart.yaml":  "{apiVersion: v2, name: platform, version: 1.0.0, dependencies: [{name: telltale, version: 0.0.0, condition: telltale.enabled}]}",
		"values.yaml": "{global: {team: platform}, telltale: {enabled: true}}",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	if err := os.Symlink(way, filepath.Join(dir, "charts", "telltale")); err != nil {
		t.Fatal(err)
	}

	got := objects(t, helm(t, "template", "platform", dir, "--namespace=telltale-system"))
	if diff := cmp.Diff(rendered(t, ""), got); diff != "" {
		t.Errorf("-alone +part\n%s", diff)
	}
}

// rendered is `helm template` with values.
func rendered(t *testing.T, values string) map[string]manifest {
	t.Helper()

	return objects(t, helm(t, "template", "telltale", chart, "--namespace=telltale-system", "--values="+harness.File(t, values)))
}

// objects are manifests by kind, namespace and name. The order of flags does not count,
// nor does the annotation by which Helm keeps CRDs (TestChartKeepsCRDs).
func objects(t *testing.T, manifests string) map[string]manifest {
	t.Helper()

	all := map[string]manifest{}

	for text := range strings.SplitSeq("\n"+manifests, "\n---\n") {
		var o struct {
			Kind     string
			Metadata struct {
				Name, Namespace string
				Annotations     map[string]string
			}
			Spec struct {
				Template struct {
					Spec struct{ Containers []struct{ Args []string } }
				}
			}
		}

		var whole manifest

		for _, into := range []any{&o, &whole} {
			if err := yaml.Unmarshal([]byte(text), into); err != nil {
				t.Fatalf("%v\n%.500s", err, text)
			}
		}

		if len(whole) == 0 {
			continue
		}

		id := o.Kind + "/" + o.Metadata.Namespace + "/" + o.Metadata.Name
		if all[id] != nil {
			t.Errorf("there are two of %s", id)
		}

		all[id] = whole

		if o.Kind == "Deployment" {
			args := o.Spec.Template.Spec.Containers[0].Args
			slices.Sort(args)
			container(whole)["args"] = args
		}

		if annotations, is := whole["metadata"].(map[string]any)["annotations"].(map[string]any); is {
			delete(annotations, "helm.sh/resource-policy")
		}
	}

	return all
}

// container is that of a Deployment.
func container(deployment manifest) map[string]any {
	spec := deployment["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)

	return spec["containers"].([]any)[0].(map[string]any)
}

// helm runs Helm, and ends the test if it fails.
func helm(t *testing.T, args ...string) string {
	t.Helper()

	out, err := tryHelm(t.Context(), args...)
	if err != nil {
		t.Fatalf("helm %s: %v\n%.2000s", strings.Join(args, " "), err, out)
	}

	return out
}

// tryHelm returns what Helm writes; with an error, also to its standard error.
func tryHelm(ctx context.Context, args ...string) (string, error) {
	var out, errors bytes.Buffer

	c := exec.CommandContext(ctx, os.Getenv("TELLTALE_HELM"), args...)
	c.Stdout, c.Stderr = &out, &errors

	err := c.Run()
	if err != nil {
		out.Write(errors.Bytes())
	}

	return out.String(), err
}
