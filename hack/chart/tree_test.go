package main

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestTemplate puts variants into a template.
func TestTemplate(t *testing.T) {
	const base = "{a: {x: 1}, l: [--one, --two]}"

	cases := map[string]struct {
		reason   string
		variants map[string]string // by condition
		set      string            // a path that gets .Values.v
		want     string
		err      string
	}{
		"Same": {
			reason: "A variant that is the same has no condition.", variants: map[string]string{".V": base},
			want: "---\na:\n  x: 1\nl:\n- --one\n- --two\n",
		},
		"Key": {
			reason: "A variant adds a key.", variants: map[string]string{".V": "{a: {x: 1, z: 2}, l: [--one, --two]}"},
			want: "---\na:\n  x: 1\n{{- if .V }}\n  z: 2\n{{- end }}\nl:\n- --one\n- --two\n",
		},
		"NoKey": {
			reason: "A variant takes a key away.", variants: map[string]string{".V": "{a: {x: 1}}"},
			want: "---\na:\n  x: 1\n{{- if not .V }}\nl:\n- --one\n- --two\n{{- end }}\n",
		},
		"Item": {
			reason: "A variant adds to a list.", variants: map[string]string{"not .V": "{a: {x: 1}, l: [--one, --two, --three]}"},
			want: "---\na:\n  x: 1\nl:\n- --one\n- --two\n{{- if not .V }}\n- --three\n{{- end }}\n",
		},
		"NoItem": {
			reason: "A variant takes an item away.", variants: map[string]string{"not .V": "{a: {x: 1}, l: [--two]}"},
			want: "---\na:\n  x: 1\nl:\n{{- if .V }}\n- --one\n{{- end }}\n- --two\n",
		},
		"Changed": {
			reason: "An if can't have two values.", variants: map[string]string{".V": "{a: {x: 2}, l: [--one, --two]}"},
			err: "a: x: it changes 1 to 2",
		},
		"Braces": {
			reason: "Those of Prometheus are not for Helm.", variants: map[string]string{".V": `{a: {x: 1}, l: [--one, --two], z: "{{ $labels.a }} in telltale-system"}`},
			want: "---\na:\n  x: 1\nl:\n- --one\n- --two\n{{- if .V }}\nz: '{{ \"{{\" }} $labels.a }} in {{ .Release.Namespace }}'\n{{- end }}\n",
		},
		"Namespace": {
			reason: "It may look like a number.", variants: map[string]string{".V": `{a: {x: 1}, l: [--one, --two], z: {ns: telltale-system}}`},
			want: "---\na:\n  x: 1\nl:\n- --one\n- --two\n{{- if .V }}\nz:\n  ns: {{ .Release.Namespace | quote }}\n{{- end }}\n",
		},
		"Set": {
			reason: "A value of the user's is in place of that of config.", set: "a/x",
			want: "---\na:\n  x: {{ .Values.v }}\nl:\n- --one\n- --two\n",
		},
		"SetAfter": {
			reason: "It comes after the others.", set: "l/-",
			want: "---\na:\n  x: 1\nl:\n- --one\n- --two\n- {{ .Values.v }}\n",
		},
		"SetAfterVariant": {
			reason: "A list that a variant adds is there for the value, too.", set: "z/-", variants: map[string]string{".V": "{a: {x: 1}, l: [--one, --two], z: [1]}"},
			want: "---\na:\n  x: 1\nl:\n- --one\n- --two\n{{- if or (.V) (.Values.v) }}\nz:\n{{- if .V }}\n- 1\n{{- end }}\n{{- if .Values.v }}\n- {{ .Values.v }}\n{{- end }}\n{{- end }}\n",
		},
		"SetNothing": {reason: "config has changed.", set: "b/x", err: `b/x: there is no "b"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := templateOf(t, base, tc.variants, tc.set)

			switch {
			case tc.err != "":
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("%s\ngot the error %v, want %s", tc.reason, err, tc.err)
				}
			case err != nil:
				t.Errorf("%s\n%v", tc.reason, err)
			case got != tc.want:
				t.Errorf("%s\ngot\n%s\nwant\n%s", tc.reason, got, tc.want)
			}
		})
	}
}

func templateOf(t *testing.T, base string, variants map[string]string, set string) (string, error) {
	t.Helper()

	all := func(text string) map[string]manifest { return map[string]manifest{"one": {object: parse(t, text)}} }
	o := newObjects(all(base))

	for when, text := range variants {
		if err := o.merge(all(text), when); err != nil {
			return "", err
		}
	}

	if set != "" {
		value := node{text: "{{ .Values.v }}"}
		if variants != nil {
			value.when = []string{".Values.v"}
		}

		if err := o.set(field{"one", set, value}); err != nil {
			return "", err
		}
	}

	return template(o.all.keys["one"]), nil
}

func parse(t *testing.T, text string) (value any) {
	t.Helper()

	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}

	return value
}
