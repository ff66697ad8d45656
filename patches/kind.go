package patches

import (
	"bytes"
	"maps"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// kind is what a list holds. Everything that differs from one kind of list to
// another is in this file.
type kind int

const (
	envKind kind = iota
	envFromKind
	mountKind
	volumeKind
	initContainerKind
	pullSecretKind
	labelKind
	annotationKind
)

// items returns what an Injection adds to lists of this kind.
func (k kind) items(in *Injection) []item {
	switch k {
	case envKind:
		return in.env
	case envFromKind:
		return in.envFrom
	case mountKind:
		return in.mounts
	case volumeKind:
		return in.volumes
	case initContainerKind:
		return in.initContainers
	case pullSecretKind:
		return in.pullSecrets
	case labelKind:
		return in.labels
	default:
		return in.annotations
	}
}

// field is the name of the list in its parent object.
func (k kind) field() string {
	return [...]string{
		"env", "envFrom", "volumeMounts", "volumes", "initContainers", "imagePullSecrets", "labels", "annotations",
	}[k]
}

// verb says in a sentence that somebody has an element of this kind.
func (k kind) verb() string {
	return [...]string{
		"sets env", "has envFrom", "mounts", "has volume", "has init container", "has image pull secret", "has label",
		"has annotation",
	}[k]
}

// isMap is true for a map of strings, false for an array.
func (k kind) isMap() bool { return k == labelKind || k == annotationKind }

// placement says where additions go.
func (k kind) placement(in *Injection) v1alpha1.Placement {
	switch k {
	case envKind, envFromKind:
		return in.placement.Env
	case initContainerKind:
		return in.placement.InitContainers
	default:
		return v1alpha1.Last
	}
}

// ownKeys returns the keys of the pod's own elements, in order.
func (l *list) ownKeys() []string {
	switch l.kind {
	case envKind:
		return keys(l.container.Env, func(e envVar) string { return e.Name })
	case envFromKind:
		return keys(l.container.EnvFrom, func(e corev1.EnvFromSource) string { return string(encode(e)) })
	case mountKind:
		return keys(l.container.VolumeMounts, func(m corev1.VolumeMount) string { return path.Clean(m.MountPath) })
	case volumeKind:
		return keys(l.pod.spec.Volumes, func(v named) string { return v.Name })
	case initContainerKind:
		return keys(l.pod.spec.InitContainers, func(c container) string { return c.Name })
	case pullSecretKind:
		return keys(l.pod.spec.ImagePullSecrets, func(s named) string { return s.Name })
	case labelKind:
		return slices.Sorted(maps.Keys(l.pod.Labels))
	default:
		return slices.Sorted(maps.Keys(l.pod.Annotations))
	}
}

// ownIs tells whether the pod's own element i is what an item declares.
func (l *list) ownIs(i int, it *item) bool {
	switch l.kind {
	case envKind:
		return sameEnv(l.container.Env[i], it)
	case mountKind:
		return sameMount(l.container.VolumeMounts[i], it)
	case volumeKind:
		volumes, _ := l.pod.elements()

		return sameJSON(it.json, rawElement(volumes, i))
	case initContainerKind:
		_, initContainers := l.pod.elements()

		return sameJSON(it.json, rawElement(initContainers, i))
	case labelKind:
		return bytes.Equal(encode(l.pod.Labels[it.key]), it.json)
	case annotationKind:
		return bytes.Equal(encode(l.pod.Annotations[it.key]), it.json)
	default:
		return true // the key is the whole element
	}
}

func keys[E any](list []E, key func(E) string) []string {
	found := make([]string, len(list))
	for i, e := range list {
		found[i] = key(e)
	}

	return found
}
