package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// valuesFile is values.yaml: each value, and about it in comments.
func valuesFile(all []value) string {
	w := &writer{}
	w.line(0, "# Made by hack/chart. Helm refuses values that are not here.")

	for _, v := range all {
		path := strings.Split(v.name, ".")
		indent, name := 2*(len(path)-1), path[len(path)-1]

		if indent == 0 {
			w.line(0, "")
		}

		for _, line := range wrap(v.about, 88-indent) {
			w.line(indent, "# %s", line)
		}

		if v.is == nil {
			w.line(indent, "%s:", name)

			continue
		}

		text, err := yaml.Marshal(map[string]any{name: v.is})
		if err != nil {
			panic(err) // It was read from YAML, or is a literal.
		}

		for line := range strings.Lines(string(text)) {
			w.line(indent, "%s", strings.TrimSuffix(line, "\n"))
		}
	}

	return strings.Join(w.lines, "\n") + "\n"
}

// wrap cuts a text into lines of so many bytes at most.
func wrap(text string, width int) (lines []string) {
	line := ""

	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}

		line = strings.TrimPrefix(line+" "+word, " ")
	}

	return append(lines, line)
}

const about = `# Telltale's chart

An injection webhook for Kubernetes that never keeps a pod from starting and never fails silently.
[docs/install.md](https://github.com/telltale-dev/telltale/blob/main/docs/install.md#helm) says how to install it.

It is made from config/, so that Helm installs what kustomize does. Names are fixed, as rights name them: there is one
Telltale in a cluster.

## Values

Helm refuses others. [values.yaml](values.yaml) has the same.

| value | default | |
| --- | --- | --- |
`

// readme is the README, which Artifact Hub and helm show readme show.
func readme(all []value) string {
	var text strings.Builder

	text.WriteString(about)

	for _, v := range all {
		if v.is == nil {
			fmt.Fprintf(&text, "| **%s** | | %s |\n", v.name, v.about)

			continue
		}

		is, err := json.Marshal(v.is)
		if err != nil {
			panic(err) // It was read from YAML, or is a literal.
		}

		fmt.Fprintf(&text, "| `%s` | `%s` | %s |\n", v.name, is, v.about)
	}

	return text.String()
}
