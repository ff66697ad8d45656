package audit

import (
	"encoding/json"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// TestCandidates suspects the Injections that a pod has, and those that it would have
// without another: a trial without that one lets them in.
func TestCandidates(t *testing.T) {
	setting := func(name, value string) *patches.Injection {
		return patches.Compile(&v1alpha1.Injection{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
			Spec:       v1alpha1.InjectionSpec{Selector: &metav1.LabelSelector{}, Env: []v1alpha1.EnvVar{{Name: "ZONE", Value: value}}},
		})
	}

	for name, tc := range map[string]struct {
		reason string
		own    []corev1.EnvVar
		want   []string
	}{
		"Masked":  {"The second comes in once the first is left out.", nil, []string{"a", "b"}},
		"NotSoon": {"The pod itself is in conflict with both.", []corev1.EnvVar{{Name: "ZONE", Value: "own"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := json.Marshal(corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "x", Env: tc.own}}}})
			if err != nil {
				t.Fatal(err)
			}

			pod, err := patches.Decode(raw)
			if err != nil {
				t.Fatal(err)
			}

			open := new(patches.Set).With(setting("a", "1")).With(setting("b", "2")).Match(nil, patches.Namespace{Name: "shop", Known: true})

			var got []string
			for _, in := range candidates(t.Context(), pod, open) {
				got = append(got, in.Name)
			}

			if !slices.Equal(got, tc.want) {
				t.Errorf("%s got %v, want %v", tc.reason, got, tc.want)
			}
		})
	}
}
