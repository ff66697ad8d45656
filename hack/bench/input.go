package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// checkout is a review that a kube-apiserver sent for a Deployment's pod: 8 KB.
//
//go:embed testdata/review-checkout.json
var checkout []byte

//go:embed testdata/injection.yaml
var injectionYAML []byte

//go:embed testdata/policy.yaml
var policyYAML []byte

// theInjection is the Injection that every candidate applies, if it injects.
func theInjection() (*v1alpha1.Injection, error) {
	in := &v1alpha1.Injection{}
	if err := yaml.UnmarshalStrict(injectionYAML, in); err != nil {
		return nil, fmt.Errorf("cannot read the Injection: %w", err)
	}

	return in, nil
}

// reviewOf is the review of the same pod in another namespace.
func reviewOf(namespace string) []byte {
	return bytes.ReplaceAll(checkout, []byte(`"namespace":"default"`), []byte(`"namespace":"`+namespace+`"`))
}

// podOf is the pod of a review as its controller would have sent it: without
// the parts that the API server added.
func podOf(review []byte) (*corev1.Pod, error) {
	var e envelope
	if err := json.Unmarshal(review, &e); err != nil {
		return nil, fmt.Errorf("cannot read the review: %w", err)
	}
	pod := &corev1.Pod{}
	if err := json.Unmarshal(e.Request.Object, pod); err != nil {
		return nil, fmt.Errorf("cannot read the review's pod: %w", err)
	}
	pod.ManagedFields, pod.Status = nil, corev1.PodStatus{}

	return pod, nil
}

// patched applies the patch of an answer to the pod of a review. It returns nil
// if the answer has no patch.
func patched(review, response []byte) (*corev1.Pod, error) {
	var asked, answered envelope
	if err := json.Unmarshal(review, &asked); err != nil {
		return nil, fmt.Errorf("cannot read the review: %w", err)
	}
	if err := json.Unmarshal(response, &answered); err != nil || answered.Response == nil {
		return nil, fmt.Errorf("cannot read the answer %s: %w", response, err)
	}
	if answered.Response.Patch == nil {
		return nil, nil
	}
	patch, err := jsonpatch.DecodePatch(answered.Response.Patch)
	if err != nil {
		return nil, fmt.Errorf("cannot read the patch: %w", err)
	}
	raw, err := patch.Apply(asked.Request.Object)
	if err != nil {
		return nil, fmt.Errorf("cannot apply the patch: %w", err)
	}
	pod := &corev1.Pod{}

	return pod, json.Unmarshal(raw, pod)
}

// injected tells whether a pod has everything that the Injection declares.
func injected(pod *corev1.Pod) (bool, error) {
	in, err := theInjection()
	if err != nil || pod == nil {
		return false, err
	}
	for _, c := range pod.Spec.Containers {
		for _, want := range in.Spec.Env {
			if !slices.Contains(c.Env, want.Core()) {
				return false, nil
			}
		}
	}
	for _, want := range in.Spec.InitContainers {
		if !slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == want.Name && c.Image == want.Image }) {
			return false, nil
		}
	}

	return true, nil
}
