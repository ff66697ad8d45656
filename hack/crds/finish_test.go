package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// TestFinishTwice checks that the CRDs in the tree fit the table: if the table
// was changed and crds was not run, finishing would change them here.
func TestFinishTwice(t *testing.T) {
	files, err := filepath.Glob("../../config/crd/bases/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("cannot find the CRDs: %v", err)
	}

	for _, file := range files {
		once, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}

		twice, err := finish(once)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(once), string(twice)); diff != "" {
			t.Errorf("%s is not finished: -tree +finished\n%s", file, diff)
		}
	}
}

func TestFinishRefuses(t *testing.T) {
	cases := map[string]struct {
		reason string
		crd    string
		want   string
	}{
		"NotYAML":     {"The file is no YAML.", "\t", "cannot start any token"},
		"NoVersion":   {"The file is no CRD.", "kind: Deployment", "0 versions, not one"},
		"TwoVersions": {"The table is for one version.", "spec: {versions: [{}, {}]}", "2 versions, not one"},
		"NoField": {
			"If a field is gone, its bound must fail.",
			"spec: {versions: [{schema: {openAPIV3Schema: {properties: {spec: {}}}}}]}",
			`the schema has no "env" on the way to "env[].name"`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := finish([]byte(tc.crd))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s\ngot %v, want %s", tc.reason, err, tc.want)
			}
		})
	}
}

func TestConstraints(t *testing.T) {
	cases := map[string]struct {
		reason string
		before node
		add    constraint
		want   node
	}{
		"Bound": {
			reason: "The keyword is the schema's own.",
			before: node{},
			add:    bound("", "maxLength", 5),
			want:   node{"maxLength": 5},
		},
		"ExactlyOne": {
			reason: "Fields outside the union are left out, and the rule is stable.",
			before: node{"properties": fields("name", "b", "a")},
			add:    exactlyOne("", "choose", "name"),
			want: node{"properties": fields("name", "b", "a"), "x-kubernetes-validations": []any{map[string]any{
				"rule": "[has(self.a), has(self.b)].filter(x, x).size() == 1", "message": "choose",
			}}},
		},
		"RuleAfterAnother": {
			reason: "Rules that markers made stay.",
			before: node{"x-kubernetes-validations": []any{map[string]any{"rule": "old", "message": "o"}}},
			add:    rule("", "new", "n"),
			want: node{"x-kubernetes-validations": []any{
				map[string]any{"rule": "old", "message": "o"}, map[string]any{"rule": "new", "message": "n"},
			}},
		},
		"RuleAgain": {
			reason: "The rule is added once only.",
			before: node{"x-kubernetes-validations": []any{map[string]any{"rule": "old", "message": "o"}}},
			add:    rule("", "old", "o"),
			want:   node{"x-kubernetes-validations": []any{map[string]any{"rule": "old", "message": "o"}}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.add.add(tc.before)

			if diff := cmp.Diff(tc.want, tc.before); diff != "" {
				t.Errorf("%s\n-want +got\n%s", tc.reason, diff)
			}
		})
	}
}

func TestDropDescriptions(t *testing.T) {
	const (
		before = `
description: the spec, ours
properties:
  env:
    description: its field, ours
    items:
      description: what one of them is
      properties:
        valueFrom:
          description: its field, a core type's
          properties:
            secretKeyRef: {description: deeper, type: object}
`
		want = `
description: the spec, ours
properties:
  env:
    description: its field, ours
    items:
      properties:
        valueFrom:
          description: its field, a core type's
          properties:
            secretKeyRef: {type: object}
`
	)

	got := parse(t, before)
	dropDescriptions(got)

	if diff := cmp.Diff(parse(t, want), got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func parse(t *testing.T, schema string) (n node) {
	t.Helper()

	if err := yaml.Unmarshal([]byte(schema), &n); err != nil {
		t.Fatal(err)
	}

	return n
}

func fields(names ...string) map[string]any {
	all := map[string]any{}
	for _, name := range names {
		all[name] = map[string]any{}
	}

	return all
}
