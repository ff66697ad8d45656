package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// node is a part of a template.
type node struct {
	when []string // conditions in Helm's language; it is there if all hold
	base any      // its value in config/default; nil if that does not have it

	// One of these.
	keys  map[string]*node // a map
	items []*node          // a list
	plain any              // any other value
	text  string           // Helm's language for a value
	block string           // an expression for a whole value, or for further items or keys
}

// newNode returns the template of a value that is always there.
func newNode(value any) *node {
	n := &node{}

	switch v := value.(type) {
	case map[string]any:
		n.keys = map[string]*node{}
		for key, child := range v {
			n.keys[key] = newNode(child)
		}
	case []any:
		n.items = []*node{}
		for _, child := range v {
			n.items = append(n.items, newNode(child))
		}
	case string:
		n.plain = v
		if v == namespace {
			n.text = "{{ .Release.Namespace | quote }}"
		}
	default:
		n.plain = v
	}

	return n
}

// newBase is newNode for a value of config/default.
func newBase(value any) *node {
	n := newNode(value)
	n.setBase(value)

	return n
}

func (n *node) setBase(value any) {
	n.base = value

	switch v := value.(type) {
	case map[string]any:
		for key, child := range v {
			n.keys[key].setBase(child)
		}
	case []any:
		for i, child := range v {
			n.items[i].setBase(child)
		}
	}
}

// merge puts a variant of config/default into its template. It gets what it adds under
// the condition, and what it takes away under the opposite. Other changes are no switch:
// they are an error.
func (n *node) merge(variant any, when string) error {
	if reflect.DeepEqual(n.base, variant) {
		return nil
	}

	switch v := variant.(type) {
	case map[string]any:
		if n.keys != nil {
			return n.mergeMap(v, when)
		}
	case []any:
		if n.items != nil {
			return n.mergeList(v, when)
		}
	}

	return fmt.Errorf("it changes %v to %v: give that a value", n.base, variant)
}

func (n *node) mergeMap(variant map[string]any, when string) error {
	for key, child := range n.keys {
		value, there := variant[key]

		switch {
		case child.base == nil && there:
			return fmt.Errorf("%s: another switch adds it, too", key)
		case child.base == nil:
		case !there:
			child.when = append(child.when, not(when))
		default:
			if err := child.merge(value, when); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
	}

	for key, value := range variant {
		if n.keys[key] == nil {
			n.keys[key] = newNode(value)
			n.keys[key].when = []string{when}
		}
	}

	return nil
}

// mergeList pairs the items of lists of one length. Of others, it pairs those that are
// equal.
func (n *node) mergeList(variant []any, when string) error {
	base, _ := n.base.([]any)
	if len(base) == len(variant) {
		i := 0

		for _, item := range n.items {
			if item.base == nil {
				continue
			}

			if err := item.merge(variant[i], when); err != nil {
				return fmt.Errorf("%d: %w", i, err)
			}

			i++
		}

		return nil
	}

	for _, item := range n.items {
		if item.base != nil && !contains(variant, item.base) {
			item.when = append(item.when, not(when))
		}
	}

	for _, value := range variant {
		if !contains(base, value) {
			item := newNode(value)
			item.when = []string{when}
			n.items = append(n.items, item)
		}
	}

	return nil
}

func contains(list []any, value any) bool {
	return slices.ContainsFunc(list, func(one any) bool { return reflect.DeepEqual(one, value) })
}

// not is the opposite of a condition.
func not(when string) string {
	if opposite, is := strings.CutPrefix(when, "not "); is {
		return opposite
	}

	return "not " + when
}
