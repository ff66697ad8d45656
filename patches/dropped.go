package patches

import (
	"encoding/json"

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
	return missing("spec", withoutEmpty(treeOf(sent), ""), treeOf(kept))
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
