package patches

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4" // what kube-apiserver applies patches with
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

var update = flag.Bool("update", false, "write what the golden cases give as what they want; read the diff")

// goldenCase is a folder of testdata/golden: the pod, the Injections (and the
// pod's Namespace, where its labels matter, and the ConfigMaps and Secrets that are
// there), the pod wanted and the failures wanted.
type goldenCase struct {
	dir string
	pod []byte
	set *Set
	ns  Namespace
}

func goldenCases(t *testing.T) []string {
	t.Helper()

	dirs, err := filepath.Glob("testdata/golden/*")
	if err != nil || len(dirs) < 40 {
		t.Fatalf("found %d golden cases (%v), want 40 at least", len(dirs), err)
	}

	return dirs
}

func readCase(t *testing.T, dir string) goldenCase {
	t.Helper()

	pod, err := yaml.YAMLToJSON(read(t, dir, "pod.yaml"))
	if err != nil {
		t.Fatal(err)
	}

	c := newGoldenCase(dir)
	c.pod = pod

	for doc := range bytes.SplitSeq(read(t, dir, "injections.yaml"), []byte("\n---\n")) {
		c.add(t, doc)
	}

	return c
}

func newGoldenCase(dir string) goldenCase {
	return goldenCase{dir: dir, set: &Set{}, ns: Namespace{Name: "shop", Known: true, Objects: held{}}}
}

// held are the objects that are there, with their keys.
type held map[Object]bool

func (h held) Look(_ string, r Required) (s Sight, key string) {
	if !h[Object{Kind: r.Kind, Name: r.Name}] {
		return Gone, ""
	}

	for _, key := range r.Keys {
		if !h[Object{Kind: r.Kind, Name: r.Name, Key: key}] {
			return Keyless, key
		}
	}

	return Seen, ""
}

func (h held) add(kind, name string, keys ...string) {
	for _, key := range append(keys, "") {
		h[Object{Kind: kind, Name: name, Key: key}] = true
	}
}

func (c *goldenCase) add(t *testing.T, doc []byte) {
	t.Helper()

	var kind metav1.TypeMeta
	decode(t, doc, &kind, false)

	switch kind.Kind {
	case "Injection":
		var in v1alpha1.Injection
		decode(t, doc, &in, true)
		c.set = c.set.With(Compile(&in))
	case "ClusterInjection":
		var in v1alpha1.ClusterInjection
		decode(t, doc, &in, true)
		c.set = c.set.With(CompileCluster(&in))
	case "Namespace":
		var ns corev1.Namespace
		decode(t, doc, &ns, true)
		c.ns.Name, c.ns.Labels = ns.Name, ns.Labels
	case "LimitRange":
		var l corev1.LimitRange
		decode(t, doc, &l, true)
		c.ns.Limits = append(c.ns.Limits, &l)
	case "ResourceQuota":
		var q corev1.ResourceQuota
		decode(t, doc, &q, true)
		q.Status.Hard = q.Spec.Hard
		c.ns.Quotas = append(c.ns.Quotas, &q)
	case configMap:
		var o corev1.ConfigMap
		decode(t, doc, &o, true)
		c.ns.Objects.(held).add(configMap, o.Name, slices.Concat(slices.Collect(maps.Keys(o.Data)), slices.Collect(maps.Keys(o.BinaryData)))...)
	case secret:
		var o corev1.Secret
		decode(t, doc, &o, true)
		c.ns.Objects.(held).add(secret, o.Name, slices.Collect(maps.Keys(o.Data))...)
	default:
		t.Fatalf("%s: unknown kind %q", c.dir, kind.Kind)
	}
}

// run injects the pod and applies the patch the way the API server does.
func (c *goldenCase) run(t *testing.T, raw []byte) ([]byte, Result) {
	t.Helper()

	pod, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}

	r := New(t.Context(), pod, c.set.Match(pod.Traits(), c.ns), c.set.Previews(pod.Traits(), c.ns)...)

	return applyPatch(t, raw, r.Patch), r
}

// TestGolden holds what becomes of a pod, case by case.
func TestGolden(t *testing.T) {
	for _, dir := range goldenCases(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			c := readCase(t, dir)
			got, r := c.run(t, c.pod)

			failures := ""
			for _, f := range r.Failed {
				failures += fmt.Sprintf("%s %s: %s\n", f.Injection, f.Reason, f.Text)
			}

			gotYAML, err := yaml.JSONToYAML(got)
			if err != nil {
				t.Fatal(err)
			}

			if *update {
				write(t, dir, "want.yaml", gotYAML)
				write(t, dir, "failures", []byte(failures))
			}

			if diff := cmp.Diff(string(read(t, dir, "want.yaml")), string(gotYAML)); diff != "" {
				t.Errorf("pod: -want +got\n%s", diff)
			}

			if diff := cmp.Diff(string(read(t, dir, "failures")), failures); diff != "" {
				t.Errorf("failures: -want +got\n%s", diff)
			}
		})
	}
}

// TestGoldenTwice injects every injected pod once more: nothing is left to
// change, and what was applied is no failure now.
func TestGoldenTwice(t *testing.T) {
	for _, dir := range goldenCases(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			c := readCase(t, dir)
			once, first := c.run(t, c.pod)
			_, second := c.run(t, once)

			if second.Patch != nil {
				t.Errorf("the second pass changes the pod: %s", second.Patch)
			}

			if diff := cmp.Diff(failedRecord(first.Failed), failedRecord(second.Failed)); diff != "" {
				t.Errorf("failures of the second pass: -first +second\n%s", diff)
			}
		})
	}
}

func applyPatch(tb testing.TB, raw, patch []byte) []byte {
	tb.Helper()

	if patch == nil {
		return raw
	}

	decoded, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		tb.Fatalf("the patch does not decode: %v\n%s", err, patch)
	}

	patched, err := decoded.Apply(raw)
	if err != nil {
		tb.Fatalf("the patch does not apply: %v\n%s", err, patch)
	}

	var pod corev1.Pod
	if err := json.Unmarshal(patched, &pod); err != nil {
		tb.Fatalf("what the patch makes is no pod: %v\n%s", err, patched)
	}

	return patched
}

func decode(t *testing.T, doc []byte, into any, strict bool) {
	t.Helper()

	unmarshal := func(b []byte, o any) error { return yaml.Unmarshal(b, o) }
	if strict {
		unmarshal = func(b []byte, o any) error { return yaml.UnmarshalStrict(b, o) }
	}

	if err := unmarshal(doc, into); err != nil {
		t.Fatalf("%v in\n%s", err, doc)
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()

	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}

	return b
}

func write(t *testing.T, dir, name string, b []byte) {
	t.Helper()

	if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}
