package patches_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// TestPresent compares pods that exist with two Injections: what a later one
// overrides is as it should be.
func TestPresent(t *testing.T) {
	t.Parallel()

	declare := func(name string, order int32, policy v1alpha1.ConflictPolicy, env ...v1alpha1.EnvVar) *patches.Injection {
		return patches.Compile(&v1alpha1.Injection{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
			Spec: v1alpha1.InjectionSpec{
				Selector: &metav1.LabelSelector{}, Order: order, OnConflict: policy, Env: env,
				Containers: v1alpha1.Containers{Exclude: []string{"none"}},
			},
		})
	}
	set := (&patches.Set{}).With(
		declare("first", 1, v1alpha1.Skip, v1alpha1.EnvVar{Name: "A", Value: "1"}, v1alpha1.EnvVar{Name: "B", Value: "1"}),
		declare("second", 2, v1alpha1.Override, v1alpha1.EnvVar{Name: "A", Value: "2"}),
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

// TestPresentJoined compares pods that exist with an Injection that joins and one
// before it that sets the same variable.
func TestPresentJoined(t *testing.T) {
	t.Parallel()

	declare := func(name string, env v1alpha1.EnvVar) *patches.Injection {
		return patches.Compile(&v1alpha1.Injection{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
			Spec:       v1alpha1.InjectionSpec{Selector: &metav1.LabelSelector{}, Env: []v1alpha1.EnvVar{env}},
		})
	}
	set := (&patches.Set{}).With(
		declare("a", v1alpha1.EnvVar{Name: "A", Value: "1"}),
		declare("b", v1alpha1.EnvVar{Name: "A", Value: "2", Join: &v1alpha1.Join{Separator: ","}}),
	)
	lost := patches.Presence{Absent: `container "app" no longer has what was joined to env A`}
	cases := map[string]struct {
		reason, env string
		want        []patches.Presence
	}{
		"Both":      {"As New makes it.", `{"name":"A","value":"1,2"}`, []patches.Presence{{}, {}}},
		"FirstOnly": {"The part is not there.", `{"name":"A","value":"1"}`, []patches.Presence{{}, lost}},
		"JoinOnly":  {"The first has another value.", `{"name":"A","value":"2"}`, []patches.Presence{{Changed: true}, {}}},
		"Longer":    {"A longer word is another one.", `{"name":"A","value":"1,22"}`, []patches.Presence{{Changed: true}, lost}},
		"Source":    {"Nothing can be joined there.", `{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"spec.nodeName"}}}`, []patches.Presence{{Changed: true}, {Changed: true}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			pod, err := patches.Decode([]byte(`{"metadata":{"name":"p"},"spec":{"containers":[{"name":"app","env":[` + tc.env + `]}]}}`))
			if err != nil {
				t.Fatal(err)
			}

			if diff := cmp.Diff(tc.want, patches.Present(pod, set.Match(nil, patches.Namespace{Name: "shop", Known: true}))); diff != "" {
				t.Errorf("%s -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
