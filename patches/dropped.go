package patches

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/internal/edit"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// Dropped is the first field of an Injection that its sample had when it was
// sent to an API server, and that the answer lacks: "" if there is none. An
// API server drops what it does not know, and fields of feature gates that are
// off. Values are not compared, nor is anything that is empty: the API server may
// write it in another way.
func Dropped(sent, kept *corev1.PodTemplateSpec) string {
	return missing("spec", withoutEmpty(treeOf(sent)), treeOf(kept))
}

// treeOf is the part of a sample that is the Injection's, as JSON.
func treeOf(sample *corev1.PodTemplateSpec) (tree any) {
	c := &sample.Spec.Containers[0]

	injected := edit.Encode(v1alpha1.InjectionSpec{
		Env: v1alpha1.EnvOf(c.Env), EnvFrom: c.EnvFrom, VolumeMounts: c.VolumeMounts,
		Volumes: sample.Spec.Volumes, InitContainers: sample.Spec.InitContainers, ImagePullSecrets: sample.Spec.ImagePullSecrets,
		Labels: sample.Labels, Annotations: sample.Annotations,
	})
	if err := json.Unmarshal(injected, &tree); err != nil {
		panic(err) // it was encoded here
	}

	return tree
}

// missing is the path of the first that one tree has and the other lacks.
func missing(path string, want, have any) string {
	switch want := want.(type) {
	case map[string]any:
		fields, _ := have.(map[string]any)

		for _, key := range slices.Sorted(maps.Keys(want)) {
			if at := missingField(path+"."+key, want[key], fields[key]); at != "" {
				return at
			}
		}
	case []any:
		elements, _ := have.([]any)

		for i, element := range want {
			if at := missingField(fmt.Sprintf("%s[%d]", path, i), element, counterpart(elements, element, i)); at != "" {
				return at
			}
		}
	}

	return ""
}

func missingField(path string, want, have any) string {
	if isEmpty(want) {
		return ""
	}

	inner, isMap := want.(map[string]any)
	if have == nil && (!isMap || len(inner) > 1) {
		return path
	}

	return missing(path, want, have) // the only field of what is not there says more
}

// counterpart is the element of a list that stands for the one that was at i:
// others may have been put before it.
func counterpart(elements []any, element any, i int) any {
	for _, e := range elements {
		if id := idOf(e); id != "" && id == idOf(element) {
			return e
		}
	}

	if i < len(elements) && idOf(element) == "" {
		return elements[i]
	}

	return nil
}

// idOf is what tells an element of a pod's lists from the others; "" if it has
// no such thing.
func idOf(element any) string {
	fields, _ := element.(map[string]any)
	for _, key := range []string{"mountPath", "name"} {
		if id, ok := fields[key].(string); ok {
			return id
		}
	}

	return ""
}
