package apiserver

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	podutil "k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/core"
	v1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
)

// SetProfiles sets the AppArmor profiles of containers that annotations name, as the
// API server does when it stores a new pod.
//
// Source: applyAppArmorVersionSkew, k8s.io/kubernetes v1.37.2
// pkg/registry/core/pod/strategy.go: the same steps.
func SetProfiles(pod *corev1.Pod) error {
	if pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows {
		return nil
	}

	var internal core.Pod
	if err := v1.Convert_v1_Pod_To_core_Pod(pod, &internal, nil); err != nil {
		return err
	}

	var ofPod *core.AppArmorProfile
	if s := internal.Spec.SecurityContext; s != nil {
		ofPod = s.AppArmorProfile
	}

	podutil.VisitContainers(&internal.Spec, podutil.AllFeatureEnabledContainers(), func(c *core.Container, _ podutil.ContainerType) bool {
		profile := profileOf(&internal, c)
		if profile == nil || equality.Semantic.DeepEqual(profile, ofPod) {
			return true
		}

		if c.SecurityContext == nil {
			c.SecurityContext = &core.SecurityContext{}
		}

		c.SecurityContext.AppArmorProfile = profile

		return true
	})

	return v1.Convert_core_Pod_To_v1_Pod(&internal, pod, nil)
}

// profileOf is the profile that an annotation gives to a container; nil if none does,
// or the container has one, or it makes no sense.
func profileOf(pod *core.Pod, c *core.Container) *core.AppArmorProfile {
	annotation, has := pod.Annotations[core.DeprecatedAppArmorAnnotationKeyPrefix+c.Name]
	if !has || c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil {
		return nil
	}

	profile := podutil.ApparmorFieldForAnnotation(annotation)
	if len(validation.ValidateAppArmorProfileField(profile, nil)) > 0 {
		return nil
	}

	return profile
}
