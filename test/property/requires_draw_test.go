package property

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// requires has some Injections require objects, which a namespace has or lacks.
func (d dice) requires() []v1alpha1.Requirement {
	if !d.chance(15) {
		return nil
	}

	return some(d, 2, func(int) v1alpha1.Requirement {
		r := v1alpha1.Requirement{Kind: pick(d, v1alpha1.RequiredConfigMap, v1alpha1.RequiredConfigMap, v1alpha1.RequiredSecret, v1alpha1.RequiredReferences)}
		if r.Kind == v1alpha1.RequiredReferences {
			return r
		}

		r.Name = pick(d, "corp", "other")
		if d.chance(50) {
			r.Keys = []string{pick(d, "key", "a")}
		}

		return r
	})
}

// configMaps are those of a namespace, by the names that pods and Injections refer to.
func (d dice) configMaps() map[string][]string {
	all := map[string][]string{}

	for _, name := range []string{"corp", "other"} {
		if d.chance(60) {
			all[name] = pick(d, nil, []string{"key"}, []string{"key", "a", "b"}, []string{"b"})
		}
	}

	return all
}

func (l law) configMaps() (all []*corev1.ConfigMap) {
	for _, name := range slices.Sorted(maps.Keys(l.ConfigMaps)) {
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{}}
		for _, key := range l.ConfigMaps[name] {
			m.Data[key] = "x"
		}

		all = append(all, m)
	}

	return all
}

// Look is what Telltale knows of the objects of a namespace. It may not look at
// Secrets; and an object without data has no keys in its metadata.
func (l law) Look(_ string, r patches.Required) (s patches.Sight, key string) {
	keys, there := l.ConfigMaps[r.Name]

	switch {
	case r.Kind != "ConfigMap":
		return patches.Unseen, ""
	case !there:
		return patches.Gone, ""
	}

	for _, key := range r.Keys {
		if len(keys) > 0 && !slices.Contains(keys, key) {
			return patches.Keyless, key
		}
	}

	return patches.Seen, ""
}
