package main

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// constraint adds something to the schema at a path below spec.
type constraint struct {
	path string
	add  func(node)
}

func (c constraint) addTo(spec node) error {
	n, err := spec.at(c.path)
	if err != nil {
		return err
	}

	c.add(n)

	return nil
}

// bound limits a length or a number of items.
func bound(path, keyword string, limit int) constraint {
	return constraint{path, func(n node) { n[keyword] = limit }}
}

// oneOf lists the values that a string may have.
func oneOf(path string, values ...any) constraint {
	return constraint{path, func(n node) { n["enum"] = values }}
}

// describe replaces a description.
func describe(path, text string) constraint {
	return constraint{path, func(n node) { n["description"] = text }}
}

// rule adds a CEL rule, unless it is there already.
func rule(path, rule, message string) constraint {
	return constraint{path, func(n node) { n.require(rule, message) }}
}

// exactlyOne requires one of an object's fields, not counting those that are
// named. It is for the union types of core/v1: their lists grow from release to
// release.
func exactlyOne(path, message string, apart ...string) constraint {
	return constraint{path, func(n node) {
		var has []string
		for _, field := range slices.Sorted(maps.Keys(n.child("properties"))) {
			if !slices.Contains(apart, field) {
				has = append(has, fmt.Sprintf("has(self.%s)", field))
			}
		}

		n.require("["+strings.Join(has, ", ")+"].filter(x, x).size() == 1", message)
	}}
}

// require adds a CEL rule to those that are there, unless it is one of them.
func (n node) require(rule, message string) {
	const key = "x-kubernetes-validations"

	rules, _ := n[key].([]any)
	added := map[string]any{"rule": rule, "message": message}
	if !slices.ContainsFunc(rules, func(r any) bool { return reflect.DeepEqual(r, added) }) {
		n[key] = append(rules, added)
	}
}

// dropDescriptions keeps the descriptions of the fields of the spec, and those
// of their fields, because these are ours. It drops all deeper ones, but for those
// of a join, which are ours as well.
func dropDescriptions(spec node) {
	join, _ := spec.at("env[].join")
	ours := map[string]any{}

	for field, schema := range join.child("properties") {
		ours[field], _ = schema.(map[string]any)["description"]
	}

	keepDescriptions(spec, 2)

	for field, text := range ours {
		join.child("properties").child(field)["description"] = text
	}
}

func keepDescriptions(n node, levels int) {
	for _, key := range []string{"items", "additionalProperties"} {
		if c := n.child(key); c != nil {
			delete(c, "description") // the list's description describes its items
			keepDescriptions(c, levels)
		}
	}

	for field := range n.child("properties") {
		c := n.child("properties").child(field)
		if levels == 0 {
			delete(c, "description")
		}

		keepDescriptions(c, max(levels-1, 0))
	}
}
