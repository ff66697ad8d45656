package property

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// part is an element of an Injection on a pod.
type part struct {
	field string
	at    []any // where it is in the pod
	want  any   // as declared
	// isShared is true if another Injection declares it, or the pod's own may stand in
	// its place or is joined with it: its content is not to be told from others.
	isShared bool
}

// partsOf finds the parts of an Injection on a pod that it was applied to.
func partsOf(pod any, name string, specs map[string]v1alpha1.InjectionSpec) (all []part) {
	containers, _ := get(pod, "metadata", "annotations", v1alpha1.ContainersAnnotation).(string)
	reached, spec := strings.Split(containers, ","), specs[name]

	for _, field := range []string{"env", "envFrom", "volumeMounts"} {
		for _, of := range []string{"containers", "initContainers"} {
			list, _ := get(pod, "spec", of).([]any)
			for i := range list {
				if c := fmt.Sprint(get(list[i], "name")); slices.Contains(reached, c) && reaches(spec.Containers, c) && (of == "containers" || spec.Containers.Init) {
					all = append(all, elementsOf(pod, name, specs, field, "spec", of, i, field)...)
				}
			}
		}
	}

	for _, field := range []string{"volumes", "initContainers", "imagePullSecrets"} {
		all = append(all, elementsOf(pod, name, specs, field, "spec", field)...)
	}

	for _, field := range []string{"labels", "annotations"} {
		declared, _ := get(tree(spec), field).(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(declared)) {
			all = append(all, part{field, []any{"metadata", field, key}, declared[key], isShared(specs, name, field, key)})
		}
	}

	return all
}

// elementsOf finds the elements in a list of the pod that a list of an Injection
// declares. One that may be there twice is left out.
func elementsOf(pod any, name string, specs map[string]v1alpha1.InjectionSpec, field string, at ...any) (all []part) {
	declared, _ := get(tree(specs[name]), field).([]any)
	list, _ := get(pod, at...).([]any)

	for _, want := range declared {
		key, found := keyOf(field, want), []int{}

		for i, e := range list {
			if keyOf(field, e) == key {
				found = append(found, i)
			}
		}

		if len(found) == 1 && !(field == "envFrom" && hasSameSource(list, want)) {
			all = append(all, part{field, append(slices.Clone(at), found[0]), want, isShared(specs, name, field, key) || get(want, "join") != nil})
		}
	}

	return all
}

func keyOf(field string, element any) string {
	switch field {
	case "envFrom":
		return fmt.Sprint(element)
	case "volumeMounts":
		return path.Clean(fmt.Sprint(get(element, "mountPath")))
	default:
		return fmt.Sprint(get(element, "name"))
	}
}

// hasSameSource tells whether a list has several elements of one source.
func hasSameSource(list []any, element any) bool {
	n := 0

	for _, e := range list {
		if get(e, "secretRef", "name") == get(element, "secretRef", "name") && get(e, "configMapRef", "name") == get(element, "configMapRef", "name") {
			n++
		}
	}

	return n > 1
}

func isShared(specs map[string]v1alpha1.InjectionSpec, name, field, key string) bool {
	for other, spec := range specs {
		if other == name {
			continue
		}

		switch declared := get(tree(spec), field).(type) {
		case map[string]any:
			if declared[key] != nil {
				return true
			}
		case []any:
			if slices.ContainsFunc(declared, func(e any) bool { return keyOf(field, e) == key }) {
				return true
			}
		}
	}

	return specs[name].OnConflict == v1alpha1.KeepPod && field != "volumes"
}

// fields are all places in a part that have something, but for its key.
func (p part) fields() [][]any {
	if p.field == "envFrom" {
		return nil // all of it is the key
	}

	return slices.DeleteFunc(places(p.want, nil), func(at []any) bool { return at[0] == "name" || at[0] == "mountPath" })
}

// values are the places in a part that have a value, but for names in lists.
func (p part) values() [][]any {
	all := places(p.want, nil)
	if len(all) == 0 {
		all = [][]any{{}} // a label
	}

	return slices.DeleteFunc(all, func(at []any) bool {
		switch get(p.want, at...).(type) {
		case map[string]any, []any:
			return true
		case bool:
			return p.field == "volumeMounts" // false is left out
		}

		if len(at) == 0 {
			return false
		}

		isName := at[len(at)-1] == "name" || at[len(at)-1] == "mountPath"
		_, isInList := append([]any{0}, at...)[len(at)-1].(int)

		return isName && (isInList || p.field == "envFrom")
	})
}

// places are the paths of all that is not empty in a tree.
func places(tree any, under []any) (all [][]any) {
	visit := func(key, value any) {
		if !isNothing(value) {
			at := append(slices.Clone(under), key)
			all = append(append(all, at), places(value, at)...)
		}
	}

	switch v := tree.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			visit(key, v[key])
		}
	case []any:
		for i := range v {
			visit(i, v[i])
		}
	}

	return all
}

// isNothing tells whether a value has nothing in it that an API server keeps for sure.
func isNothing(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		return len(v) == 0 || !slices.ContainsFunc(slices.Collect(maps.Values(v)), func(e any) bool { return !isNothing(e) })
	case []any:
		return len(v) == 0
	default:
		return v == nil || v == ""
	}
}

// isDefaulted tells whether the API server fills in a field with the value that it had.
func isDefaulted(at []any) bool {
	return slices.ContainsFunc(at, func(key any) bool {
		return slices.Contains([]any{
			"imagePullPolicy", "terminationMessagePath", "terminationMessagePolicy", "protocol", "scheme", "path", "hostPort", "requests", "divisor",
			"apiVersion", "defaultMode", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold", "expirationSeconds", "volumeMode",
			"procMount", "pullPolicy", "seconds",
		}, key)
	}) || len(at) > 1 && slices.Contains([]string{
		"azureDisk readOnly", "azureDisk fsType", "azureDisk cachingMode", "azureDisk kind", "rbd pool", "rbd keyring", "rbd user", "iscsi iscsiInterface",
		"scaleIO storageMode", "scaleIO fsType", "hostPath type", "fileKeyRef optional",
	}, fmt.Sprint(at[len(at)-2], " ", at[len(at)-1]))
}

// other is another value of the same type.
func other(value any) any {
	switch v := value.(type) {
	case string:
		return v + "-other"
	case float64:
		return v + 1
	case bool:
		return !v
	default:
		panic(fmt.Sprint("no scalar: ", v))
	}
}

// get is what stands at a place; nil if there is nothing.
func get(tree any, at ...any) any {
	for _, key := range at {
		switch v := tree.(type) {
		case map[string]any:
			name, _ := key.(string)
			tree = v[name]
		case []any:
			i, ok := key.(int)
			if !ok || i >= len(v) {
				return nil
			}

			tree = v[i]
		default:
			return nil
		}
	}

	return tree
}

// with is a copy of a tree with another value at a place.
func with(t, value any, at ...any) any {
	changed := tree(t)

	switch parent := get(changed, at[:len(at)-1]...).(type) {
	case map[string]any:
		parent[at[len(at)-1].(string)] = value
	case []any:
		parent[at[len(at)-1].(int)] = value
	}

	return changed
}

// without is a copy of a tree that has nothing at a place.
func without(t any, at ...any) any {
	last := at[len(at)-1]

	switch parent := get(t, at[:len(at)-1]...).(type) {
	case map[string]any:
		changed := tree(t)
		delete(get(changed, at[:len(at)-1]...).(map[string]any), last.(string))

		return changed
	case []any:
		i := last.(int)

		return with(t, slices.Delete(slices.Clone(parent), i, i+1), at[:len(at)-1]...)
	default:
		panic(fmt.Sprint("nothing is at ", at))
	}
}

func tree(v any) (t any) {
	b, err := json.Marshal(v)
	if err != nil || json.Unmarshal(b, &t) != nil {
		panic(fmt.Sprint(err, v))
	}

	return t
}

func reaches(c v1alpha1.Containers, name string) bool {
	has := func(globs []string) bool {
		return slices.ContainsFunc(globs, func(g string) bool { ok, err := path.Match(g, name); return ok && err == nil })
	}

	return (len(c.Include) == 0 || has(c.Include)) && !has(c.Exclude)
}
