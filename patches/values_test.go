package patches

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestNoValues gives every env var of every golden case a value like no other
// text, in the pod and in the Injections: no failure tells one.
func TestNoValues(t *testing.T) {
	var markers, failures int

	for _, dir := range goldenCases(t) {
		c := newGoldenCase(dir)
		mark := func(doc []byte) []byte {
			var tree map[string]any
			decode(t, doc, &tree, false)

			marked, err := yaml.Marshal(withMarkers(tree, &markers))
			if err != nil {
				t.Fatal(err)
			}

			return marked
		}

		for doc := range bytes.SplitSeq(read(t, dir, "injections.yaml"), []byte("\n---\n")) {
			c.add(t, mark(doc))
		}

		pod, err := yaml.YAMLToJSON(mark(read(t, dir, "pod.yaml")))
		if err != nil {
			t.Fatal(err)
		}

		_, r := c.run(t, pod)
		for _, f := range r.Failed {
			failures++

			if strings.Contains(fmt.Sprint(f.Text, f.Injection.Err()), marker) {
				t.Errorf("%s: a value is told: %s", dir, f.Text)
			}
		}
	}

	if markers < 70 || failures < 20 {
		t.Errorf("only %d values and %d failures were looked at", markers, failures)
	}
}

// marker is part of every value that TestNoValues makes up.
const marker = "s3cr3t"

// withMarkers replaces every value of an env var by one that is like no other.
func withMarkers(tree any, n *int) any {
	switch v := tree.(type) {
	case []any:
		for i := range v {
			v[i] = withMarkers(v[i], n)
		}
	case map[string]any:
		for k, e := range v {
			v[k] = withMarkers(e, n)
		}

		if _, ok := v["value"].(string); ok && v["name"] != nil {
			*n++
			v["value"] = fmt.Sprintf("%s-%d", marker, *n)
		}
	}

	return tree
}
