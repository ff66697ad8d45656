package apiserver

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/kubernetes/pkg/apis/core/v1/helper/qos"
)

// KeepsGuaranteed tells whether a Guaranteed pod is still Guaranteed with one
// more init container.
func KeepsGuaranteed(c *corev1.Container) bool {
	some := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("1Gi")}
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		Containers:     []corev1.Container{{Resources: corev1.ResourceRequirements{Limits: some}}},
		InitContainers: []corev1.Container{{Resources: *c.Resources.DeepCopy()}},
	}}
	SetDefaults(pod)

	return qos.ComputePodQOS(pod) == corev1.PodQOSGuaranteed
}
