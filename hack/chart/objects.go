package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// objects are the templates of all objects, by kind, namespace and name.
type objects struct {
	all   node
	files map[string]string // the file in config of each
}

func newObjects(base map[string]manifest) *objects {
	o := &objects{files: map[string]string{}}
	o.all = *newBase(o.see(base))

	return o
}

// see notes from which files objects are.
func (o *objects) see(built map[string]manifest) map[string]any {
	plain := map[string]any{}

	for id, m := range built {
		plain[id] = m.object
		o.files[id] = m.file
	}

	return plain
}

func (o *objects) merge(variant map[string]manifest, when string) error {
	return o.all.merge(o.see(variant), when)
}

// set puts a value of the user's into a template.
func (o *objects) set(f field) error {
	object := o.all.keys[f.object]
	if object == nil {
		return fmt.Errorf("no variant has %s", f.object)
	}

	path := slices.Collect(jsontext.Pointer("/" + f.path).Tokens())

	at, err := object.find(path[:len(path)-1])
	if err != nil {
		return fmt.Errorf("%s: %s: %w", f.object, f.path, err)
	}

	last := path[len(path)-1]

	switch there := at.child(last); {
	case there != nil:
		f.node.when, f.node.base = append(there.when, f.node.when...), there.base
		*there = f.node
	case last == "-":
		at.add(&f.node)
	case at.keys != nil:
		at.keys[last] = &f.node
	default:
		return fmt.Errorf("%s: there is no %s", f.object, f.path)
	}

	return nil
}

func (n *node) find(path []string) (*node, error) {
	for _, key := range path {
		if n = n.child(key); n == nil {
			return nil, fmt.Errorf("there is no %q", key)
		}
	}

	return n, nil
}

// add adds an item to a list. If only some variants have the list, it is there for the
// item, too, and the others keep its conditions.
func (n *node) add(item *node) {
	if len(n.when) > 0 {
		for _, other := range n.items {
			other.when = slices.Concat(n.when, other.when)
		}

		n.when = []string{fmt.Sprintf("or (%s) (%s)", and(n.when), and(item.when))}
	}

	n.items = append(n.items, item)
}

// child finds a key of a map, or an item of a list by its index or, for a text, by
// itself. It returns nil if there is none.
func (n *node) child(key string) *node {
	for i, item := range n.items {
		if item.plain == key || strconv.Itoa(i) == key {
			return item
		}
	}

	return n.keys[key]
}

// templates are the files of the chart, one for each file of config.
func templates(o *objects) map[string]string {
	files := map[string]string{}

	for _, id := range slices.Sorted(maps.Keys(o.files)) {
		name := "templates/" + o.files[id]
		if strings.HasSuffix(name, "/kustomization.yaml") { // a generator of kustomize
			kind, _, _ := strings.Cut(id, "/")
			name = strings.TrimSuffix(name, "kustomization.yaml") + strings.ToLower(kind) + ".yaml"
		}

		if files[name] == "" {
			files[name] = fmt.Sprintf("{{- /* Made from config/%s by hack/chart: edit that, and run make generate. */}}\n", o.files[id])
		}

		files[name] += template(o.all.keys[id])
	}

	return files
}
