//go:build apiserver

package config_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// validation is a spec that the real API server is asked about.
type validation struct {
	reason string
	// spec is YAML. Unless bare is true, `selector: {}` and `env: [{name: A}]` are
	// added if they are missing.
	spec string
	bare bool
	// want is a part of the refusal. Empty means that the spec is good.
	want string
}

// testValidation applies each spec as an Injection and as a ClusterInjection.
func testValidation(t *testing.T, c cluster) {
	t.Helper()

	for _, kind := range []string{"Injection", "ClusterInjection"} {
		for name, tc := range validations(t) {
			t.Run(kind+name, func(t *testing.T) { tc.check(t, c, kind) })
		}
	}

	for name, tc := range namespaceSelectors() {
		t.Run("ClusterInjection"+name, func(t *testing.T) { tc.check(t, c, "ClusterInjection") })
	}

	ofInjection := validation{
		reason: "An Injection never reaches another namespace, and must not seem to.",
		spec:   `namespaceSelector: {}`,
		want:   `unknown field "spec.namespaceSelector"`,
	}
	t.Run("InjectionNamespaceSelector", func(t *testing.T) { ofInjection.check(t, c, "Injection") })
}

// typeOfValue is in the refusals of Kubernetes 1.34, and not in those of 1.36.
const typeOfValue = `"object": `

func (v validation) check(t *testing.T, c cluster, kind string) {
	t.Helper()

	spec := map[string]any{}
	if !v.bare {
		spec["selector"], spec["env"] = map[string]any{}, []any{map[string]any{"name": "A"}}
	}
	if err := yaml.Unmarshal([]byte(v.spec), &spec); err != nil {
		t.Fatal(err)
	}

	err := c.create(t, kind, spec)
	switch {
	case v.want == "" && err != nil:
		t.Errorf("%s\nrefused: %v", v.reason, err)
	case v.want != "" && err == nil:
		t.Errorf("%s\naccepted, want a refusal with: %s", v.reason, v.want)
	case v.want != "" && !strings.Contains(strings.ReplaceAll(err.Error(), typeOfValue, ""), v.want):
		t.Errorf("%s\nrefused: %v\nwant a refusal with: %s", v.reason, err, v.want)
	}
}

// create asks as kubectl does: unknown fields are errors.
func (c cluster) create(t *testing.T, kind string, spec map[string]any) error {
	t.Helper()

	admin, err := client.New(c.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}

	object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	object.SetName("example")
	if kind == "Injection" {
		object.SetNamespace(metav1.NamespaceDefault)
	}

	return admin.Create(t.Context(), object, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))
}
