package patches_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// TestPresent compares pods that exist with two Injections: what a later one
// overrides is as it should be.
func TestPresent(t *testing.T) {
	t.Parallel()

	declare := func(name string, order int32, policy v1alpha1.ConflictPolicy, env ...corev1.EnvVar) *patches.Injection {
		return patches.Compile(&v1alpha1.Injection{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
			Spec: v1alpha1.InjectionSpec{
				Selector: &metav1.LabelSelector{}, Order: order, OnConflict: policy, Env: env,
				Containers: v1alpha1.Containers{Exclude: []string{"none"}},
			},
		})
	}
	set := (&patches.Set{}).With(
		declare("first", 1, v1alpha1.Skip, corev1.EnvVar{Name: "A", Value: "1"}, corev1.EnvVar{Name: "B", Value: "1"}),
		declare("second", 2, v1alpha1.Override, corev1.EnvVar{Name: "A", Value: "2"}),
	)
	cases := map[string]struct {
		reason     string
		containers string
		want       []patches.Presence
	}{
		"Both":       {"As New makes it.", `{"name":"app","env":[{"name":"A","value":"2"},{"name":"B","value":"1"}]}`, []patches.Presence{{}, {}}},
		"FirstOnly":  {"The override is not there.", `{"name":"app","env":[{"name":"A","value":"1"},{"name":"B","value":"1"}]}`, []patches.Presence{{}, {Changed: true}}},
		"Part":       {"One part is not there.", `{"name":"app","env":[{"name":"A","value":"2"}]}`, []patches.Presence{{Absent: `container "app" no longer sets env B`}, {}}},
		"Nothing":    {"Of two containers neither has any.", `{"name":"app"},{"name":"b"}`, []patches.Presence{{Absent: `container "app" no longer sets env A`}, {Absent: `container "app" no longer sets env A`}}},
		"Sidecar":    {"A container that has none of it may have come later.", `{"name":"app","env":[{"name":"A","value":"2"},{"name":"B","value":"1"}]},{"name":"b"}`, []patches.Presence{{}, {}}},
		"NotReached": {"No container gets anything.", `{"name":"none"}`, []patches.Presence{{Absent: "it includes none of the pod's containers"}, {Absent: "it includes none of the pod's containers"}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			pod, err := patches.Decode([]byte(`{"metadata":{"name":"p"},"spec":{"containers":[` + tc.containers + `]}}`))
			if err != nil {
				t.Fatal(err)
			}

			if diff := cmp.Diff(tc.want, patches.Present(pod, set.Match(nil, patches.Namespace{Name: "shop", Known: true}))); diff != "" {
				t.Errorf("%s -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
