package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// template writes an object in Helm's language.
func template(n *node) string {
	w := &writer{}
	w.open(n)
	w.line(0, "---")
	w.mapping(n, 0)
	w.close(n)

	return strings.Join(w.lines, "\n") + "\n"
}

// writer writes YAML, line by line, with Helm's language between.
type writer struct{ lines []string }

func (w *writer) line(indent int, format string, args ...any) {
	w.lines = append(w.lines, strings.Repeat(" ", indent)+fmt.Sprintf(format, args...))
}

func (w *writer) open(n *node) {
	if len(n.when) > 0 {
		w.line(0, "{{- if %s }}", and(n.when))
	}
}

// and is one condition for some.
func and(when []string) string {
	if len(when) == 1 {
		return when[0]
	}

	return "and (" + strings.Join(when, ") (") + ")"
}

func (w *writer) close(n *node) {
	if len(n.when) > 0 {
		w.line(0, "{{- end }}")
	}
}

func (w *writer) mapping(n *node, indent int) {
	for _, key := range slices.Sorted(maps.Keys(n.keys)) {
		child := n.keys[key]
		value, isPlain := child.value()
		w.open(child)

		switch {
		case isPlain:
			w.plain(map[string]any{key: value}, indent)
		case child.text != "":
			w.line(indent, "%s: %s", key, child.text)
		case child.block != "" && key == more:
			w.line(indent, "{{- toYaml %s | nindent %d }}", child.block, indent)
		case child.block != "":
			w.line(indent, "%s: {{- toYaml %s | nindent %d }}", key, child.block, indent+2)
		case child.keys != nil:
			w.line(indent, "%s:", key)
			w.mapping(child, indent+2)
		default:
			w.line(indent, "%s:", key)
			w.list(child, indent)
		}

		w.close(child)
	}
}

// more is the key of a block with further keys. It is the last one of a map.
const more = "~"

func (w *writer) list(n *node, indent int) {
	for _, item := range n.items {
		value, isPlain := item.value()
		w.open(item)

		switch {
		case isPlain:
			w.plain([]any{value}, indent)
		case item.text != "":
			w.line(indent, "- %s", item.text)
		case item.block != "":
			w.line(indent, "{{- toYaml %s | nindent %d }}", item.block, indent)
		default:
			w.item(item, indent)
		}

		w.close(item)
	}
}

// item writes a map in a list. Its first key is on the line of the dash, unless that has
// a condition.
func (w *writer) item(n *node, indent int) {
	inner := &writer{}
	inner.mapping(n, indent+2)

	if first := inner.lines[0]; strings.HasPrefix(first, "{{") {
		w.line(indent, "-")
	} else {
		inner.lines[0] = first[:indent] + "-" + first[indent+1:]
	}

	w.lines = append(w.lines, inner.lines...)
}

// plain writes YAML without conditions. Helm's language in it is Prometheus's or
// Grafana's, and is not for Helm.
func (w *writer) plain(value any, indent int) {
	text, err := yaml.Marshal(value)
	if err != nil {
		panic(err) // It was read from YAML.
	}

	escaped := strings.ReplaceAll(string(text), "{{", `{{ "{{" }}`)
	escaped = strings.ReplaceAll(escaped, namespace, "{{ .Release.Namespace }}")

	for line := range strings.Lines(escaped) {
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			w.line(0, "")
		} else {
			w.line(indent, "%s", line)
		}
	}
}

// value is the value of a node in which nothing depends on the user's values.
func (n *node) value() (value any, isPlain bool) {
	switch {
	case n.text != "" || n.block != "":
		return nil, false
	case n.keys != nil:
		m := map[string]any{}

		for key, child := range n.keys {
			if m[key], isPlain = child.value(); !isPlain || len(child.when) > 0 {
				return nil, false
			}
		}

		return m, true
	case n.items != nil:
		l := []any{}

		for _, child := range n.items {
			v, isPlain := child.value()
			if !isPlain || len(child.when) > 0 {
				return nil, false
			}

			l = append(l, v)
		}

		return l, true
	default:
		return n.plain, true
	}
}
