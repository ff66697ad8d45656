package main

import (
	"fmt"
	"strings"
)

// node is a part of a CRD: mostly, the schema of one field.
type node map[string]any

// child is the part under that key, or nil.
func (n node) child(key string) node {
	c, _ := n[key].(map[string]any)

	return c
}

// at is the schema at a path of fields below this one: "env[].name", or
// "selector.matchLabels{}" for the values of a map.
func (n node) at(path string) (node, error) {
	steps := strings.NewReplacer("[]", ".[]", "{}", ".{}").Replace(path)
	for step := range strings.SplitSeq(steps, ".") {
		switch step {
		case "[]":
			n = n.child("items")
		case "{}":
			n = n.child("additionalProperties")
		default:
			n = n.child("properties").child(step)
		}

		if n == nil {
			return nil, fmt.Errorf("the schema has no %q on the way to %q", step, path)
		}
	}

	return n, nil
}
