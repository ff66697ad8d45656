package webhook

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// withContainers adds init containers of these names.
func withContainers(in *v1alpha1.Injection, names ...string) *v1alpha1.Injection {
	for _, n := range names {
		in.Spec.InitContainers = append(in.Spec.InitContainers, corev1.Container{Name: n, Image: "registry.example/" + n + ":1"})
	}

	return in
}

// TestWarnings: a pod that is not tried again gets a warning for each Injection
// that adds init containers.
func TestWarnings(t *testing.T) {
	one := withContainers(injection("mesh", "A", "b"), "wait")
	cases := map[string]struct {
		reason     string
		controller string // its apiVersion and kind
		own        string // an init container of the pod
		injections []*v1alpha1.Injection
		want       []string
	}{
		"Bare":      {reason: "It is created once.", injections: []*v1alpha1.Injection{one}, want: []string{`Injection "mesh" adds init container "wait"`}},
		"NoneAdded": {reason: "An env var is no reason for a refusal.", injections: []*v1alpha1.Injection{injection("mesh", "A", "b")}},
		"Several": {
			reason:     "One for each Injection.",
			injections: []*v1alpha1.Injection{one, withContainers(injection("two", "B", "b"), "b", "c")},
			want:       []string{`Injection "mesh" adds init container "wait"`, `Injection "two" adds init containers "b", "c"`},
		},
		"Workflow":    {reason: "Argo's controller makes no event.", controller: "argoproj.io/v1alpha1 Workflow", injections: []*v1alpha1.Injection{one}, want: []string{`Injection "mesh" adds init container "wait"`}},
		"Spark":       {reason: "A pod controls its executors.", controller: "v1 Pod", injections: []*v1alpha1.Injection{one}, want: []string{`Injection "mesh" adds init container "wait"`}},
		"ReplicaSet":  {reason: "It tries again.", controller: "apps/v1 ReplicaSet", injections: []*v1alpha1.Injection{one}},
		"StatefulSet": {reason: "It tries again.", controller: "apps/v1 StatefulSet", injections: []*v1alpha1.Injection{one}},
		"DaemonSet":   {reason: "It tries again.", controller: "apps/v1 DaemonSet", injections: []*v1alpha1.Injection{one}},
		"Job":         {reason: "It tries again.", controller: "batch/v1 Job", injections: []*v1alpha1.Injection{one}},
		"There":       {reason: "The pod has the container already: it is not added.", own: "wait", injections: []*v1alpha1.Injection{keepPod(one)}},
		"Long": {
			reason:     "A warning has 120 bytes at most.",
			injections: []*v1alpha1.Injection{withContainers(injection(strings.Repeat("m", 70), "A", "b"), strings.Repeat("w", 60))},
			want:       []string{`Injection "` + strings.Repeat("m", 70) + `" adds init container "` + strings.Repeat("w", 13) + "…"},
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := controlled(tc.controller)
			if tc.own != "" {
				p.Spec.InitContainers = []corev1.Container{{Name: tc.own, Image: "own"}}
			}

			got := response(t, post(New(knows(tc.injections...), &reports{}, Options{}), reviewOf(t, p))).Warnings
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s -want +got\n%s", tc.reason, diff)
			}
		})
	}
}

func keepPod(in *v1alpha1.Injection) *v1alpha1.Injection {
	kept := in.DeepCopy()
	kept.Spec.OnConflict = v1alpha1.KeepPod

	return kept
}

// controlled is a pod of a controller, by its apiVersion and kind. Without one it
// is bare.
func controlled(by string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "checkout-1-abcde", Namespace: "default"}}
	p.Spec.Containers = []corev1.Container{{Name: "app", Image: "registry.example/app:1"}}

	if apiVersion, kind, ok := strings.Cut(by, " "); ok {
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: "checkout-1", UID: "1", Controller: new(true)}}
	}

	return p
}

func reviewOf(t *testing.T, p *corev1.Pod) string {
	t.Helper()

	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}

	return `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","namespace":"default","operation":"CREATE",` +
		`"resource":{"group":"","version":"v1","resource":"pods"},"object":` + string(raw) + `}}`
}
