package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// crd is the part of a CRD that the tests read.
type crd struct {
	Spec struct {
		Group, Scope string
		Names        struct{ Kind, Plural string }
		Versions     []struct {
			Name   string
			Schema struct{ OpenAPIV3Schema fieldSchema }
		}
	}
}

type fieldSchema struct {
	Description string
	Properties  map[string]fieldSchema
	Items       *fieldSchema
	MaxLength   int
}

// item is the schema of a list's elements.
func (s fieldSchema) item() fieldSchema {
	if s.Items == nil {
		return fieldSchema{}
	}

	return *s.Items
}

// TestCRDSize keeps the CRDs far below the 256 KiB that all annotations of an
// object may have together: `kubectl apply` keeps a copy of the object there.
//
// Source: TotalAnnotationSizeLimitB, k8s.io/apimachinery
// pkg/api/validation/objectmeta.go.
func TestCRDSize(t *testing.T) {
	const limit = 128 << 10

	for _, file := range crdFiles(t) {
		asJSON, err := yaml.YAMLToJSON(read(t, file))
		if err != nil {
			t.Fatal(err)
		}
		if len(asJSON) > limit {
			t.Errorf("%s has %d bytes as JSON: want at most %d", file, len(asJSON), limit)
		}
	}
}

// TestCRDsAreManuals asks for a description of each field of ours: `kubectl
// explain` shows them.
func TestCRDsAreManuals(t *testing.T) {
	for _, file := range crdFiles(t) {
		for _, v := range readCRD(t, file).Spec.Versions {
			root := v.Schema.OpenAPIV3Schema
			spec := root.Properties["spec"]
			for path, s := range map[string]fieldSchema{
				"": root, ".spec": spec, ".status": root.Properties["status"],
				".spec.env[].join": spec.Properties["env"].item().Properties["join"],
				".spec.containers": spec.Properties["containers"], ".spec.placement": spec.Properties["placement"],
			} {
				if s.Description == "" || len(s.Properties) == 0 {
					t.Errorf("%s: %s has no description, or no fields", file, path)
				}
				for field, f := range s.Properties {
					if f.Description == "" && field != "metadata" {
						t.Errorf("%s: %s.%s has no description", file, path, field)
					}
				}
			}
		}
	}
}

// TestEveryField keeps the example of TestAPIServer complete.
func TestEveryField(t *testing.T) {
	var example map[string]any
	if err := yaml.Unmarshal(read(t, "testdata/every-field.yaml"), &example); err != nil {
		t.Fatal(err)
	}

	spec := readCRD(t, "crd/bases/telltale.dev_injections.yaml").Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
	for field := range spec.Properties {
		if example[field] == nil {
			t.Errorf("testdata/every-field.yaml says nothing of %s", field)
		}
	}
}

// resource is one of our APIs. PROJECT and the CRDs both name it.
type resource struct {
	Group, Version, Kind string
	Namespaced           bool
}

func TestProjectIsTrue(t *testing.T) {
	var project struct {
		Resources []struct {
			API                   *struct{ Namespaced bool } // nil for Pod, which is not ours
			Domain, Version, Kind string
		}
	}
	if err := yaml.Unmarshal(read(t, "../PROJECT"), &project); err != nil {
		t.Fatal(err)
	}

	got := map[resource]bool{}
	for _, r := range project.Resources {
		if r.API != nil {
			got[resource{r.Domain, r.Version, r.Kind, r.API.Namespaced}] = true
		}
	}

	want := map[resource]bool{}
	for _, file := range crdFiles(t) {
		spec := readCRD(t, file).Spec
		for _, v := range spec.Versions {
			want[resource{spec.Group, v.Name, spec.Names.Kind, spec.Scope == "Namespaced"}] = true
		}
	}

	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("PROJECT names other APIs than the CRDs: -CRDs +PROJECT\n%s", diff)
	}
}

// TestWithdrawalTexts bounds the texts of withdrawals, which others write: hundreds of
// them must fit into a status. audit.TestTextIsBounded cuts them to that.
func TestWithdrawalTexts(t *testing.T) {
	for _, file := range crdFiles(t) {
		status := readCRD(t, file).Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"]
		if n := status.Properties["withdrawn"].Items.Properties["text"].MaxLength; n != 1024 {
			t.Errorf("%s: a text may have %d bytes", file, n)
		}
	}
}

func crdFiles(t *testing.T) []string {
	t.Helper()

	files, err := filepath.Glob("crd/bases/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("cannot find the CRDs: %v", err)
	}

	return files
}

func readCRD(t *testing.T, file string) (c crd) {
	t.Helper()

	if err := yaml.Unmarshal(read(t, file), &c); err != nil {
		t.Fatal(err)
	}

	return c
}

func read(t *testing.T, file string) []byte {
	t.Helper()

	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	return content
}
