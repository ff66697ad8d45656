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

// TestPresentFields compares pods whose init container lacks a field with their
// records: only if all that was applied is known, the field is lost.
func TestPresentFields(t *testing.T) {
	t.Parallel()

	declare := func(name string, policy v1alpha1.ConflictPolicy, env string, containers ...corev1.Container) *patches.Injection {
		return patches.Compile(&v1alpha1.Injection{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
			Spec: v1alpha1.InjectionSpec{
				Selector: &metav1.LabelSelector{}, OnConflict: policy, InitContainers: containers, Env: []v1alpha1.EnvVar{{Name: env, Value: "1"}},
			},
		})
	}
	sidecar := corev1.Container{Name: "s", Image: "i", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)}
	skip, keep := declare("a", v1alpha1.Skip, "A", sidecar), declare("a", v1alpha1.KeepPod, "A", sidecar)
	other, same := declare("b", v1alpha1.Override, "B"), declare("b", v1alpha1.Override, "B", corev1.Container{Name: "s", Image: "mirror/i"})
	lost := patches.Presence{Absent: "the pod no longer has init container s with its restartPolicy"}
	cases := map[string]struct {
		reason, record string
		injections     []*patches.Injection
		want           patches.Presence
	}{
		"Lost":     {"All that was applied is known.", "a@" + skip.Revision(), []*patches.Injection{skip}, lost},
		"NoRecord": {"It may never have been there.", "", []*patches.Injection{skip}, patches.Presence{Changed: true}},
		"Edited":   {"An edit may have added it.", "a@12345678", []*patches.Injection{skip}, patches.Presence{Changed: true}},
		"Cut":      {"There is more than the record says.", "a@" + skip.Revision() + ",...", []*patches.Injection{skip}, patches.Presence{Changed: true}},
		"Other":    {"Another Injection has nothing to do with it.", "a@" + skip.Revision() + ",b@" + other.Revision(), []*patches.Injection{skip, other}, lost},
		"OtherEdited": {
			"Another one had the container, too, perhaps, and overrode this one.", "a@" + skip.Revision() + ",b@12345678",
			[]*patches.Injection{skip, other},
			patches.Presence{Changed: true},
		},
		"OtherDeleted": {"The same.", "a@" + skip.Revision() + ",b@12345678", []*patches.Injection{skip}, patches.Presence{Changed: true}},
		"Overridden": {
			"Another one overrides it, and its image was changed.", "a@" + skip.Revision() + ",b@" + same.Revision(),
			[]*patches.Injection{skip, same},
			patches.Presence{Changed: true},
		},
		"KeepPod": {"It may be the pod's own.", "a@" + keep.Revision(), []*patches.Injection{keep}, patches.Presence{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			pod, err := patches.Decode([]byte(`{"metadata":{"annotations":{"telltale.dev/injected":"` + tc.record + `"}},"spec":{"initContainers":[{"name":"s","image":"i"}],
				"containers":[{"name":"app","env":[{"name":"A","value":"1"},{"name":"B","value":"1"}]}]}}`))
			if err != nil {
				t.Fatal(err)
			}

			set := &patches.Set{}
			for _, in := range tc.injections {
				set = set.With(in)
			}

			if diff := cmp.Diff(tc.want, patches.Present(pod, set.Match(nil, patches.Namespace{Name: "shop", Known: true}))[0]); diff != "" {
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
