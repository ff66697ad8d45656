//go:build apiserver

package property

import (
	"slices"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// lacks tells whether a namespace lacks a ConfigMap, or a key, that an Injection
// requires. It reads the JSON of the spec: it knows nothing of how Telltale does.
func (l law) lacks(s v1alpha1.InjectionSpec) bool {
	for _, r := range s.Requires {
		switch r.Kind {
		case v1alpha1.RequiredConfigMap:
			if l.lacksOne(r.Name, r.Keys...) {
				return true
			}
		case v1alpha1.RequiredReferences:
			if l.lacksIn([]any{tree(s.Env), tree(s.EnvFrom), tree(s.Volumes), tree(s.InitContainers)}) {
				return true
			}
		case v1alpha1.RequiredSecret: // Telltale may not look at them here
		}
	}

	return false
}

func (l law) lacksOne(name string, keys ...string) bool {
	has, there := l.ConfigMaps[name]

	return !there || len(has) > 0 && slices.ContainsFunc(keys, func(key string) bool { return !slices.Contains(has, key) })
}

// lacksIn looks for references to ConfigMaps.
func (l law) lacksIn(in any) bool {
	switch v := in.(type) {
	case []any:
		return slices.ContainsFunc(v, l.lacksIn)
	case map[string]any:
		for field, e := range v {
			reference, _ := e.(map[string]any)
			if slices.Contains([]string{"configMap", "configMapKeyRef", "configMapRef"}, field) && reference["optional"] != true {
				if l.lacksReference(reference) {
					return true
				}
			} else if l.lacksIn(e) {
				return true
			}
		}
	}

	return false
}

func (l law) lacksReference(r map[string]any) bool {
	var keys []string

	if key, ok := r["key"].(string); ok {
		keys = append(keys, key)
	}

	items, _ := r["items"].([]any)
	for _, item := range items {
		if i, ok := item.(map[string]any); ok {
			key, _ := i["key"].(string)
			keys = append(keys, key)
		}
	}

	name, _ := r["name"].(string)

	return l.lacksOne(name, keys...)
}
