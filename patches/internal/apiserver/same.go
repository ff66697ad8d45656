package apiserver

import (
	"slices"

	"github.com/go-json-experiment/json" // encoding/json/v2 of Go 1.27
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// The functions below tell whether an element of a pod is what was declared,
// apart from what the API server fills in: a pod that is created again from what
// the API server returned for it has all of that. The element is given as JSON;
// one with a field that our libraries do not know is not the same.

// SameSource compares the source of an env var.
func SameSource(have []byte, declared *corev1.EnvVarSource) bool {
	var source *corev1.EnvVarSource
	if len(have) > 0 && !decode(have, &source) {
		return false
	}

	if source == nil || declared == nil {
		return source == declared
	}

	with := func(s *corev1.EnvVarSource) *corev1.Pod {
		return withDefaults(corev1.PodSpec{Containers: []corev1.Container{{Env: []corev1.EnvVar{{ValueFrom: s.DeepCopy()}}}}})
	}

	return equality.Semantic.DeepEqual(with(source), with(declared))
}

// SameMount compares a mount.
func SameMount(have, declared corev1.VolumeMount) bool {
	return equality.Semantic.DeepEqual(have, declared)
}

// SameVolume compares a volume.
func SameVolume(have []byte, declared *corev1.Volume) bool {
	var v corev1.Volume
	if !decode(have, &v) {
		return false
	}

	if i := v.Image; i != nil && declared.Image != nil && declared.Image.PullPolicy == "" {
		i.PullPolicy = "" // it depends on the tag
	}

	with := func(v *corev1.Volume) *corev1.Pod {
		return withDefaults(corev1.PodSpec{Volumes: []corev1.Volume{*v.DeepCopy()}})
	}

	return equality.Semantic.DeepEqual(with(&v), with(declared))
}

// SameContainer compares an init container of a pod.
func SameContainer(have []byte, declared *corev1.Container, hostNetwork bool) bool {
	var c corev1.Container
	if !decode(have, &c) {
		return false
	}

	if declared.ImagePullPolicy == "" {
		c.ImagePullPolicy = "" // it depends on the tag, and AlwaysPullImages sets it
	}

	c.VolumeMounts = slices.DeleteFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool {
		return m.MountPath == serviceAccountPath && !slices.ContainsFunc(declared.VolumeMounts, func(d corev1.VolumeMount) bool {
			return d.MountPath == serviceAccountPath
		})
	})

	with := func(c *corev1.Container) *corev1.Container {
		pod := withDefaults(corev1.PodSpec{HostNetwork: hostNetwork, InitContainers: []corev1.Container{*c.DeepCopy()}})

		return &pod.Spec.InitContainers[0]
	}

	got, want := with(&c), with(declared)
	// A LimitRange adds resources.
	got.Resources.Requests = only(got.Resources.Requests, want.Resources.Requests)
	got.Resources.Limits = only(got.Resources.Limits, want.Resources.Limits)

	return equality.Semantic.DeepEqual(got, want)
}

// serviceAccountPath is where the ServiceAccount admission plugin mounts a token
// in every container.
//
// Source: DefaultAPITokenMountPath, k8s.io/kubernetes v1.37.2
// plugin/pkg/admission/serviceaccount/admission.go.
const serviceAccountPath = "/var/run/secrets/kubernetes.io/serviceaccount"

// only returns what a list has of another list's names.
func only(have, names corev1.ResourceList) corev1.ResourceList {
	kept := corev1.ResourceList{}
	for name := range names {
		if q, ok := have[name]; ok {
			kept[name] = q
		}
	}

	return kept
}

func withDefaults(spec corev1.PodSpec) *corev1.Pod {
	pod := &corev1.Pod{Spec: spec}
	SetDefaults(pod)

	return pod
}

// decode reads an element that has no field that is unknown to us.
func decode(element []byte, into any) bool {
	return json.Unmarshal(element, into, json.RejectUnknownMembers(true)) == nil
}
