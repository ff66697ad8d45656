package edit

import (
	"maps"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/internal/apiserver"
	"github.com/telltale-dev/telltale/patches/internal/raw"
)

// Kind is what a list holds. All that differs from one kind of list to another
// is in this file.
type Kind int

// The kinds of lists: three of a container, then those of the pod.
const (
	Env Kind = iota
	EnvFrom
	Mount
	Volume
	InitContainer
	PullSecret
	Label
	Annotation
	// Kinds is how many there are.
	Kinds
)

// ofPod are the pod's own lists, in the order in which a patch changes them.
func ofPod() [5]Kind { return [...]Kind{Volume, InitContainer, PullSecret, Label, Annotation} }

// Field is the name of the list in its parent object, and in the spec of an Injection.
func (k Kind) Field() string {
	return [...]string{
		"env", "envFrom", "volumeMounts", "volumes", "initContainers", "imagePullSecrets", "labels", "annotations",
	}[k]
}

// Verb says in a sentence that a pod or a container has an element of this
// kind: `sets env`.
func (k Kind) Verb() string {
	return [...]string{
		"sets env", "has envFrom", "mounts", "has volume", "has init container", "has image pull secret", "has label",
		"has annotation",
	}[k]
}

// isMap is true for a map of strings, false for an array.
func (k Kind) isMap() bool { return k == Label || k == Annotation }

// ownKeys returns the keys of the pod's own elements, in order.
func (l *List) ownKeys() []string {
	switch l.Kind {
	case Env:
		return keys(l.Container.Env, func(e raw.EnvVar) string { return e.Name })
	case EnvFrom:
		return keys(l.Container.EnvFrom, func(e corev1.EnvFromSource) string { return string(Encode(e)) })
	case Mount:
		return keys(l.Container.VolumeMounts, func(m corev1.VolumeMount) string { return path.Clean(m.MountPath) })
	case Volume:
		return keys(l.pod.Spec.Volumes, func(v raw.Named) string { return v.Name })
	case InitContainer:
		return keys(l.pod.Spec.InitContainers, func(c raw.Container) string { return c.Name })
	case PullSecret:
		return keys(l.pod.Spec.ImagePullSecrets, func(s raw.Named) string { return s.Name })
	case Label:
		return slices.Sorted(maps.Keys(l.pod.Labels))
	default:
		return slices.Sorted(maps.Keys(l.pod.Annotations))
	}
}

// ownIs tells whether the pod's own element i is what an item declares.
func (l *List) ownIs(i int, it *Item) bool {
	switch declared := it.Value.(type) {
	case corev1.EnvVar:
		have := l.Container.Env[i]

		return have.Value == declared.Value && apiserver.SameSource(have.ValueFrom, declared.ValueFrom)
	case corev1.VolumeMount:
		return apiserver.SameMount(l.Container.VolumeMounts[i], declared)
	case *corev1.Volume:
		return apiserver.SameVolume(l.pod.Elements().Volumes[i], declared)
	case *corev1.Container:
		return apiserver.SameContainer(l.pod.Elements().InitContainers[i], declared, l.pod.Spec.HostNetwork)
	case string:
		own := l.pod.Annotations
		if l.Kind == Label {
			own = l.pod.Labels
		}

		return own[it.Key] == declared
	default:
		return true // the key is the whole element
	}
}

// Own is the pod's own element at a place, as JSON. Labels and annotations have none.
func (l *List) Own(at Place) []byte {
	switch l.Kind {
	case Env:
		return Encode(l.Container.Env[at.i])
	case Mount:
		return Encode(l.Container.VolumeMounts[at.i])
	case Volume:
		return l.pod.Elements().Volumes[at.i]
	case InitContainer:
		return l.pod.Elements().InitContainers[at.i]
	default:
		return nil
	}
}

func keys[E any](list []E, key func(E) string) []string {
	found := make([]string, len(list))
	for i, e := range list {
		found[i] = key(e)
	}

	return found
}
