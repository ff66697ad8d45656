//go:build apiserver

package config_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4" // what kube-apiserver applies patches with
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/harness"
)

// guaranteed is a pod of the QoS class Guaranteed that fits every Pod Security
// level.
const guaranteed = `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "sample", "namespace": "shop"}, "spec": {
	"securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
	"containers": [{
		"name": "app", "image": "app",
		"securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
		"resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}
	}]
}}`

// testSamples injects each sample, as the API server keeps it, into a pod of the
// strictest namespace: the API server takes the pod, which stays Guaranteed, and
// which waits for nothing that may be missing.
func testSamples(t *testing.T, c cluster) {
	t.Helper()

	namespace := patches.Namespace{Name: "shop", Known: true, Labels: map[string]string{
		"example.com/corp-ca": "true", "pod-security.kubernetes.io/enforce": "restricted",
	}}
	c.kubectl("apply", "-k", "samples/injections")
	for key, value := range namespace.Labels {
		c.kubectl("label", "namespace", namespace.Name, key+"="+value)
	}

	for _, s := range readSamples(t, c) {
		t.Run(s.in.String(), func(t *testing.T) {
			if err := s.in.Err(); err != nil {
				t.Fatalf("it can never be Ready: %v", err)
			}
			if missing := required(s.spec); len(missing) > 0 {
				t.Errorf("without these, pods never start; they must be optional: %v", missing)
			}

			pod := injected(t, s, namespace)
			got := c.in(t).kubectl("create", "--dry-run=server", "-f", harness.File(t, pod), "-o", "jsonpath={.status.qosClass}")
			if got != "Guaranteed" {
				t.Errorf("a Guaranteed pod becomes %s with it", got)
			}
		})
	}
}

// sample is an Injection or a ClusterInjection of the samples.
type sample struct {
	in       *patches.Injection
	selector *metav1.LabelSelector
	spec     any // as JSON has it
}

func readSamples(t *testing.T, c cluster) (samples []sample) {
	t.Helper()

	var list struct{ Items []json.RawMessage }
	decode(t, []byte(c.kubectl("get", "-k", "samples/injections", "-o", "json")), &list)

	for _, raw := range list.Items {
		var (
			object struct {
				Kind string
				Spec any
			}
			injection v1alpha1.Injection
			cluster   v1alpha1.ClusterInjection
		)

		decode(t, raw, &object)

		switch object.Kind {
		case "Injection":
			decode(t, raw, &injection)
			samples = append(samples, sample{patches.Compile(&injection), injection.Spec.Selector, object.Spec})
		case "ClusterInjection":
			decode(t, raw, &cluster)
			samples = append(samples, sample{patches.CompileCluster(&cluster), cluster.Spec.Selector, object.Spec})
		}
	}

	const files = 3
	if len(samples) != files {
		t.Fatalf("there are %d samples, not %d", len(samples), files)
	}

	return samples
}

// required returns the references to ConfigMaps and Secrets that are not
// optional.
func required(spec any) (missing []any) {
	references := []string{"configMap", "secret", "configMapKeyRef", "secretKeyRef", "configMapRef", "secretRef"}

	switch v := spec.(type) {
	case []any:
		for _, e := range v {
			missing = append(missing, required(e)...)
		}
	case map[string]any:
		for key, e := range v {
			reference, _ := e.(map[string]any)
			if slices.Contains(references, key) && reference["optional"] != true {
				missing = append(missing, e)
			}

			missing = append(missing, required(e)...)
		}
	}

	return missing
}

// injected is the pod with a sample.
func injected(t *testing.T, s sample, namespace patches.Namespace) string {
	t.Helper()

	pod, err := patches.Decode([]byte(guaranteed))
	if err != nil {
		t.Fatal(err)
	}

	result := patches.New(t.Context(), pod, new(patches.Set).With(s.in).Match(patches.Traits{Labels: s.selector.MatchLabels}, namespace))
	if diff := cmp.Diff([]string{s.in.String()}, names(result.Injected)); diff != "" {
		t.Fatalf("injected: -want +got\n%s%v", diff, result.Failed)
	}

	patch, err := jsonpatch.DecodePatch(result.Patch)
	if err != nil {
		t.Fatal(err)
	}

	patched, err := patch.Apply([]byte(guaranteed))
	if err != nil {
		t.Fatal(err)
	}

	return string(patched)
}

func names(injections []*patches.Injection) (names []string) {
	for _, in := range injections {
		names = append(names, in.String())
	}

	return names
}

func decode(t *testing.T, raw []byte, into any) {
	t.Helper()

	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
}
