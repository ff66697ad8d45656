package patches

import (
	"context"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/internal/apiserver"
	"github.com/telltale-dev/telltale/patches/internal/edit"
)

// Impossible says why no pod of a namespace can take an Injection, where that
// is for the namespace's LimitRanges and ResourceQuotas. It is empty where some
// pod can, and where that can't be told.
//
// It tries pods that ask for little: without resources, with some, and with the
// least that each LimitRange lets pass.
func Impossible(ctx context.Context, in *Injection, ns Namespace) string {
	if in.err != nil || len(in.items[edit.InitContainer]) == 0 || len(ns.Limits)+len(ns.Quotas) == 0 {
		return ""
	}

	why := ""
	for _, resources := range modest(ns.Limits) {
		switch taken, text := takes(ctx, in, ns, resources); {
		case taken:
			return ""
		case why == "":
			why = text
		}
	}

	return why
}

// takes tells whether a pod of one container takes the Injection; else why not,
// unless the pod is refused by itself.
func takes(ctx context.Context, in *Injection, ns Namespace, resources corev1.ResourceRequirements) (taken bool, why string) {
	raw, err := json.Marshal(corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "sample", Namespace: ns.Name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "telltale-sample", Image: "sample", Resources: resources}}},
	})
	if err != nil {
		return false, ""
	}

	pod, err := Decode(raw)
	if err != nil {
		return false, ""
	}

	j := judge{pod: pod, namespace: ns}
	if j.decode() != nil || !j.before.limits(rulesOf(ns)).None() {
		return false, ""
	}

	all := *in
	all.include, all.exclude = nil, nil // the sample has another name than the pods
	all.required = nil                  // it is a matter of objects, not of limits
	ns.Labels = nil                     // Pod Security judges pods, not Injections

	r := New(ctx, pod, []Match{{Injection: &all, namespace: ns}})
	if len(r.Failed) == 0 {
		return true, ""
	}

	if r.Failed[0].Reason != Forbidden {
		return false, ""
	}

	return false, r.Failed[0].Text
}

// modest are resources of a container that asks for little.
func modest(limits []*corev1.LimitRange) []corev1.ResourceRequirements {
	some := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1m"), corev1.ResourceMemory: resource.MustParse("1Mi")}
	tried := []corev1.ResourceRequirements{{}, {Requests: some, Limits: some}}

	for _, l := range limits {
		for _, item := range l.Spec.Limits {
			if len(item.Min) > 0 {
				tried = append(tried, corev1.ResourceRequirements{Requests: item.Min, Limits: item.Min})
			}
		}
	}

	return tried
}

// Burstable names an init container of the Injection that makes Guaranteed pods
// Burstable. It is empty where there is none.
func Burstable(in *Injection) string {
	for _, it := range in.items[edit.InitContainer] {
		if c, ok := it.Value.(*corev1.Container); ok && !apiserver.KeepsGuaranteed(c) {
			return c.Name
		}
	}

	return ""
}
