package patches

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/internal/oneline"
	"github.com/telltale-dev/telltale/patches/internal/apiserver"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// Samples are pods that have all of an Injection, and whatever it may need. One
// that an API server takes is enough: there are pods that can have it then.
func Samples(s *v1alpha1.InjectionSpec) iter.Seq[*corev1.PodTemplateSpec] {
	return func(yield func(*corev1.PodTemplateSpec) bool) {
		for _, furnish := range []func(*corev1.PodSpec){privileged, ownUsers, hostProcess} {
			sample := sampleOf(s)
			furnish(&sample.Spec)

			if !yield(sample) {
				return
			}
		}
	}
}

// Field is the field of an Injection, by the field of its sample: "spec.env[0]"
// for "spec.containers[0].env[0]". The sample may be a pod's template.
func Field(ofSample string) string {
	field := strings.TrimPrefix(ofSample, "template.")
	for prefix, own := range map[string]string{"spec.containers[0].": "spec.", "metadata.": "spec."} {
		if rest, ok := strings.CutPrefix(field, prefix); ok {
			return own + rest
		}
	}

	return field
}

// validateAsPod finds what the API server would refuse on any pod.
func validateAsPod(s *v1alpha1.InjectionSpec) error {
	if _, ok := s.Annotations[corev1.MirrorPodAnnotationKey]; ok {
		return fmt.Errorf("spec.annotations: %s is for static pods only", corev1.MirrorPodAnnotationKey)
	}

	var first error

	for sample := range Samples(s) {
		pod := &corev1.Pod{ObjectMeta: sample.ObjectMeta, Spec: sample.Spec}
		pod.Name, pod.Namespace = "sample", "sample"

		apiserver.SetDefaults(pod)

		found := apiserver.Refusals(pod)
		if len(found) == 0 {
			return nil
		}

		if first == nil {
			first = errors.New(Field(oneline.Of(apiserver.Describe(found[0]))))
		}
	}

	return first
}

// long is the grace period of samples, in seconds: a hook may take all of it.
const long int64 = math.MaxInt32

// sampleOf is a pod that has all of an Injection, and of what the Injection
// takes for granted: volumes, and resource claims. It shares nothing with it.
func sampleOf(s *v1alpha1.InjectionSpec) *corev1.PodTemplateSpec {
	pod := podOf(s.DeepCopy())
	pod.Spec.TerminationGracePeriodSeconds = new(long)

	maps.DeleteFunc(pod.Annotations, func(k, _ string) bool {
		return isOfContainer(k)
	})

	for i := range pod.Spec.InitContainers {
		furnish(&pod.Spec, &pod.Spec.InitContainers[i])
	}

	furnish(&pod.Spec, &pod.Spec.Containers[0])

	return &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels, Annotations: pod.Annotations}, Spec: pod.Spec}
}

// podOf is a pod that has all of an Injection, and shares it.
func podOf(s *v1alpha1.InjectionSpec) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "sample", Namespace: "sample", Labels: s.Labels, Annotations: s.Annotations},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{
				Name: "telltale-sample", Image: "sample", Env: v1alpha1.CoreEnv(s.Env), EnvFrom: s.EnvFrom, VolumeMounts: s.VolumeMounts,
				SecurityContext: &corev1.SecurityContext{},
			}},
			InitContainers: s.InitContainers, Volumes: s.Volumes, ImagePullSecrets: s.ImagePullSecrets,
			ServiceAccountName: "default",
		},
	}
}

// furnish adds what a container refers to, where it is not there.
func furnish(spec *corev1.PodSpec, c *corev1.Container) {
	volume := func(name string, source corev1.VolumeSource) {
		if !slices.ContainsFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == name }) {
			spec.Volumes = append(spec.Volumes, corev1.Volume{Name: name, VolumeSource: source})
		}
	}

	for _, d := range c.VolumeDevices {
		volume(d.Name, corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "sample"}})
	}

	for _, m := range c.VolumeMounts {
		volume(m.Name, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}})
	}

	for _, e := range c.Env {
		if e.ValueFrom != nil && e.ValueFrom.FileKeyRef != nil {
			volume(e.ValueFrom.FileKeyRef.VolumeName, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}})
		}
	}

	for _, r := range c.Resources.Claims {
		if !slices.ContainsFunc(spec.ResourceClaims, func(p corev1.PodResourceClaim) bool { return p.Name == r.Name }) {
			spec.ResourceClaims = append(spec.ResourceClaims, corev1.PodResourceClaim{Name: r.Name, ResourceClaimName: new("sample")})
		}
	}
}

func privileged(pod *corev1.PodSpec) {
	pod.Containers[0].SecurityContext.Privileged = new(true)
}

func ownUsers(pod *corev1.PodSpec) { pod.HostUsers = new(false) }

func hostProcess(pod *corev1.PodSpec) {
	pod.HostNetwork = true
	pod.Containers[0].SecurityContext.WindowsOptions = &corev1.WindowsSecurityContextOptions{HostProcess: new(true)}
}

// Annotations of these prefixes end in a container's name. The API server holds
// them against the container's fields.
//
// Source: k8s.io/api v0.37.2 core/v1/annotation_key_constants.go.
const (
	appArmorPrefix = corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix
	seccompPrefix  = corev1.SeccompContainerAnnotationKeyPrefix
)

func isOfContainer(annotation string) bool {
	return strings.HasPrefix(annotation, appArmorPrefix) || strings.HasPrefix(annotation, seccompPrefix)
}
