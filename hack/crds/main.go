// Command crds finishes the CRDs that controller-gen wrote, in place. It
// changes the core types inside them (corev1.Container, metav1.LabelSelector
// and so on), which no marker of ours can reach.
//
//	controller-gen crd paths=./patches/v1alpha1 output:crd:dir=config/crd/bases
//	go run ./hack/crds config/crd/bases/*.yaml
//
// It drops descriptions, because a CRD would otherwise be too big for a plain
// `kubectl apply`. It adds bounds and rules from one table, table.go. A second
// run changes nothing more (TestFinishTwice).
package main

import (
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

func main() {
	for _, file := range os.Args[1:] {
		if err := rewrite(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func rewrite(file string) error {
	before, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("cannot read CRD %q: %w", file, err)
	}

	after, err := finish(before)
	if err != nil {
		return fmt.Errorf("cannot finish CRD %q: %w", file, err)
	}

	if err := os.WriteFile(file, after, 0o644); err != nil {
		return fmt.Errorf("cannot write CRD %q: %w", file, err)
	}

	return nil
}

// finish takes a CRD of controller-gen and returns it finished, both as YAML.
func finish(crd []byte) ([]byte, error) {
	var root node
	if err := yaml.Unmarshal(crd, &root); err != nil {
		return nil, err
	}

	spec, err := specOf(root)
	if err != nil {
		return nil, err
	}

	selectors := []string{"selector"}
	if spec.child("properties").child("namespaceSelector") != nil {
		selectors = append(selectors, "namespaceSelector")
	}

	dropDescriptions(spec)

	for _, c := range constraints(selectors) {
		if err := c.addTo(spec); err != nil {
			return nil, err
		}
	}

	out, err := yaml.Marshal(root)

	return append([]byte("---\n"), out...), err
}

// specOf returns the schema of the spec in a CRD of one version.
func specOf(crd node) (node, error) {
	versions, _ := crd.child("spec")["versions"].([]any)
	if len(versions) != 1 {
		return nil, fmt.Errorf("it has %d versions, not one", len(versions))
	}

	version, _ := versions[0].(map[string]any)

	return node(version).child("schema").child("openAPIV3Schema").at("spec")
}
