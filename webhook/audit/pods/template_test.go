package pods

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// TestChoosesTemplate holds that a pod that was changed after Telltale's answer is told
// from one that Telltale was not asked about.
func TestChoosesTemplate(t *testing.T) {
	template := &corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"pod-template-hash": "1"}, Annotations: map[string]string{"team": "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "nginx:1"}}},
	}
	by := failure.Ref{APIVersion: "apps/v1", Kind: "ReplicaSet", Namespace: "shop", Name: "web-1", UID: "1"}
	images := func(globs ...string) v1alpha1.InjectionSpec {
		return v1alpha1.InjectionSpec{ImageSelector: &v1alpha1.ImageSelector{Include: globs}}
	}
	annotated := func(team string) v1alpha1.InjectionSpec {
		return v1alpha1.InjectionSpec{AnnotationSelector: &v1alpha1.AnnotationSelector{MatchAnnotations: map[string]string{"team": team}}}
	}
	owned := images("nginx:*")
	owned.OwnerSelector = &v1alpha1.OwnerSelector{Include: []v1alpha1.OwnerTerm{{Kind: "Deployment", Name: "web"}}}

	cases := map[string]struct {
		reason string
		spec   v1alpha1.InjectionSpec
		want   bool
	}{
		"Image":           {"Each pod of the template has it when it is created.", images("nginx:*"), true},
		"ImageOfAnother":  {"A webhook that comes later has put its registry before it, say.", images("mirror.example/*"), false},
		"Annotation":      {"Each pod of the template has it when it is created.", annotated("web"), true},
		"AnnotationLater": {"Somebody has annotated the pod.", annotated("data"), false},
		"OfDeployment":    {"The owner is known by the labels of the template.", owned, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.spec.Selector = &metav1.LabelSelector{}
			in := patches.Compile(&v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "a"}, Spec: tc.spec})

			if !in.ReadsContent() {
				t.Error("it would be told without a look at the template")
			}

			if got := choosesTemplate(in, template, by); got != tc.want {
				t.Errorf("%s: %t", tc.reason, got)
			}
		})
	}
}
