package patches

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"
)

// mutator makes odd pods out of good ones, as a script of bytes says: bytes
// flipped in JSON mostly make it no JSON.
type mutator struct {
	script []byte
	// donors are all values that the golden cases, Injections included, have
	// under a key.
	donors map[string][]any
}

// slot is a place in a tree of JSON. The slots of an array have the key of the
// array.
type slot struct {
	key    string
	value  any
	put    func(any)
	remove func()
}

func donors(t *testing.T) map[string][]any {
	t.Helper()

	files, err := filepath.Glob("testdata/golden/*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}

	found := map[string][]any{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}

		var doc map[string]any
		if err := yaml.Unmarshal(raw, &doc); err != nil {
			t.Fatal(err)
		}

		for _, s := range slots("", doc, nil) {
			found[s.key] = append(found[s.key], s.value)
		}
	}

	return found
}

// mutate returns raw as it is if the script is empty, or raw no object.
func (m mutator) mutate(raw []byte) []byte {
	var tree map[string]any
	if len(m.script) == 0 || json.Unmarshal(raw, &tree) != nil {
		return raw
	}

	for len(m.script) > 0 {
		if all := slots("", tree, nil); len(all) > 0 {
			m.change(all[m.choose(len(all))])
		}

		m.next()
	}

	mutated, err := json.Marshal(tree)
	if err != nil {
		return raw
	}

	return mutated
}

func (m *mutator) change(s slot) {
	switch op := m.next(); {
	case op < 20:
		s.put(nil)
	case op < 60:
		s.remove()
	case op < 120:
		if list, ok := s.value.([]any); ok && len(list) > 0 {
			s.put(append(slices.Clone(list), clone(list[m.choose(len(list))])))
		}
	case op < 150:
		n := min(m.next()%32, len(m.script))
		s.put(string(m.script[:n]))
		m.script = m.script[n:]
	default:
		if d := m.donors[s.key]; len(d) > 0 {
			s.put(clone(d[m.choose(len(d))]))
		}
	}
}

func (m *mutator) next() int {
	if len(m.script) == 0 {
		return 0
	}

	b := m.script[0]
	m.script = m.script[1:]

	return int(b)
}

func (m *mutator) choose(n int) int { return (m.next()<<8 | m.next()) % n }

// slots returns all places under a value that stands under a key, in a fixed
// order; put changes the value itself.
func slots(key string, value any, put func(any)) []slot {
	var found []slot

	switch v := value.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			s := slot{k, v[k], func(to any) { v[k] = to }, func() { delete(v, k) }}
			found = append(append(found, s), slots(k, v[k], s.put)...)
		}
	case []any:
		for i, e := range v {
			s := slot{key, e, func(to any) { v[i] = to }, func() { put(slices.Delete(slices.Clone(v), i, i+1)) }}
			found = append(append(found, s), slots(key, e, s.put)...)
		}
	}

	return found
}

func clone(value any) any {
	switch v := value.(type) {
	case map[string]any:
		c := map[string]any{}
		for k, e := range v {
			c[k] = clone(e)
		}

		return c
	case []any:
		c := make([]any, len(v))
		for i, e := range v {
			c[i] = clone(e)
		}

		return c
	default:
		return v
	}
}
