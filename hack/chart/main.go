// Command chart writes the Helm chart from the kustomize tree: charts/telltale from
// config. `make generate` runs it.
//
//	go run ./hack/chart config charts/telltale
//
// It builds config/default, and then once more for each switch of the chart. A template
// is the first, with what a switch adds or takes away under an if (tree.go). Values
// that are more than a switch replace a field (fields.go). The table in values.go makes
// values.yaml, its schema and the README. Chart.yaml, _helpers.tpl and NOTES.txt are
// written by hand. `make chart` holds that Helm renders what kustomize builds.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: chart CONFIG CHART")
		os.Exit(2)
	}

	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// write writes all generated files of a chart. Templates that no manifest makes any more
// are removed.
func write(config, chart string) error {
	objects, err := build(config)
	if err != nil {
		return err
	}

	files := templates(objects)

	all, err := values(objects)
	if err != nil {
		return err
	}

	files["values.yaml"] = valuesFile(all)
	files["README.md"] = readme(all)

	if files["values.schema.json"], err = schemaFile(all); err != nil {
		return err
	}

	old, err := os.ReadDir(filepath.Join(chart, "templates"))
	if err != nil {
		return err
	}

	for _, entry := range old {
		if entry.IsDir() {
			if err := os.RemoveAll(filepath.Join(chart, "templates", entry.Name())); err != nil {
				return fmt.Errorf("cannot remove old templates: %w", err)
			}
		}
	}

	for name, text := range files {
		if err := writeFile(filepath.Join(chart, name), text); err != nil {
			return fmt.Errorf("cannot write %q: %w", name, err)
		}
	}

	return nil
}

func writeFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}

	return os.WriteFile(path, []byte(text), 0o644)
}

// build returns the templates of all objects: config/default, the switches and the
// fields.
func build(config string) (*objects, error) {
	k, err := readKustomization(config)
	if err != nil {
		return nil, err
	}

	base, err := k.build(variant{})
	if err != nil {
		return nil, err
	}

	all := newObjects(base)

	for _, s := range switches() {
		built, err := k.build(s.variant)
		if err != nil {
			return nil, fmt.Errorf("cannot build the kustomization for %q: %w", s.when, err)
		}

		if err := all.merge(built, s.when); err != nil {
			return nil, fmt.Errorf("cannot put %q into the templates: %w", s.when, err)
		}
	}

	for _, f := range fields() {
		if err := all.set(f); err != nil {
			return nil, err
		}
	}

	return all, nil
}
