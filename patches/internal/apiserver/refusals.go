package apiserver

import (
	"regexp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	podutil "k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/core"
	v1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/capabilities"
)

// SetDefaults sets in a pod that is to be created all that the API server fills
// in.
func SetDefaults(pod *corev1.Pod) { v1.SetObjectDefaults_Pod(pod) }

// Refusals are what the API server's validation has against a pod that is to be
// created, and that has its defaults.
//
// Source: podStrategy, k8s.io/kubernetes v1.37.2
// pkg/registry/core/pod/strategy.go: the same steps.
func Refusals(pod *corev1.Pod) field.ErrorList {
	var internal core.Pod
	if err := v1.Convert_v1_Pod_To_core_Pod(pod, &internal, nil); err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}

	podutil.DropDisabledPodFields(&internal, nil)
	podutil.DefaultPodLevelResources(&internal)

	return validate(&internal)
}

func validate(pod *core.Pod) field.ErrorList {
	capabilities.Setup(true, 0) // --allow-privileged, as clusters have it: kube-proxy needs it; the first call counts

	options := podutil.GetValidationOptionsFromPodSpecAndMeta(&pod.Spec, nil, &pod.ObjectMeta, nil)
	options.ResourceIsPod = true

	return validation.ValidatePodCreate(pod, options)
}

// Describe names the refused field and the reason, without the refused value: it
// may be an env var's. The text may have more than one line.
func Describe(e *field.Error) string {
	text := e.Field + ": " + e.Type.String()
	if e.Detail != "" && e.Type != field.ErrorTypeDuplicate {
		text = e.Field + ": " + e.Detail
	}

	return text
}

// Blamed is the first of the refusals of a changed pod that the pod did not have
// before, at whichever place of a list; nil if there is none.
func Blamed(before, after field.ErrorList) *field.Error {
	index := regexp.MustCompile(`\[\d+\]`)
	kind := func(e *field.Error) string { return index.ReplaceAllString(Describe(e), "[]") }
	had := map[string]int{}

	for _, e := range before {
		had[kind(e)]++
	}

	for _, e := range after {
		had[kind(e)]--
		if had[kind(e)] < 0 {
			return e
		}
	}

	return nil
}
