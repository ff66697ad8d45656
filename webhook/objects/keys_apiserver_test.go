//go:build apiserver

package objects

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
)

// written is a ConfigMap that is written in one of the ways in which people do.
type written struct {
	*testing.T

	maps corev1client.ConfigMapInterface
	name string
}

// create is kubectl create.
func (w written) create() {
	w.Helper()

	_, err := w.maps.Create(w.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: w.name}, Data: map[string]string{"a": "1"}, BinaryData: map[string][]byte{"b": {1}},
	}, metav1.CreateOptions{})
	if err != nil {
		w.Fatal(err)
	}
}

func (w written) patch(text string) {
	w.Helper()

	if _, err := w.maps.Patch(w.Context(), w.name, types.MergePatchType, []byte(text), metav1.PatchOptions{}); err != nil {
		w.Fatal(err)
	}
}

// clear takes all managers out.
func (w written) clear() {
	w.Helper()
	w.patch(`{"metadata": {"managedFields": [{}]}}`)
}

// takeOut takes one manager out, and holds that its keys are no longer told.
func (w written) takeOut(manager string) {
	w.Helper()

	o, err := w.maps.Get(w.Context(), w.name, metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}

	before, _ := patches.Keys(o.ManagedFields)
	o.ManagedFields = slices.DeleteFunc(o.ManagedFields, func(e metav1.ManagedFieldsEntry) bool { return e.Manager == manager })

	if o, err = w.maps.Update(w.Context(), o, metav1.UpdateOptions{}); err != nil {
		w.Fatal(err)
	}

	if after, told := patches.Keys(o.ManagedFields); !told || len(after) != len(before)-1 {
		w.Errorf("told: %t, keys %v, before %v", told, after, before)
	}
}

// apply is kubectl apply --server-side.
func (w written) apply(manager string, keys ...string) {
	w.Helper()

	data := map[string]string{}
	for _, key := range keys {
		data[key] = "1"
	}

	_, err := w.maps.Apply(w.Context(), corev1apply.ConfigMap(w.name, "default").WithData(data), metav1.ApplyOptions{FieldManager: manager, Force: true})
	if err != nil {
		w.Fatal(err)
	}
}

// TestKeysOnServer writes objects in each of these ways, and holds their keys against
// those that managedFields tell.
func TestKeysOnServer(t *testing.T) {
	cp := harness.ControlPlane(t, controlplane.Options{NoControllerManager: true})
	core := kubernetes.NewForConfigOrDie(cp.Config).CoreV1()

	cases := map[string]struct {
		reason string
		write  func(written)
		told   bool
	}{
		"Created": {"The plain way.", written.create, true},
		"Patched": {"Keys come and go.", func(w written) {
			w.create()
			w.patch(`{"data": {"a": null, "c": "2"}}`)
		}, true},
		"Applied": {"One manager.", func(w written) { w.apply("x", "a") }, true},
		"AppliedByTwo": {"Each has its keys.", func(w written) {
			w.apply("x", "a")
			w.apply("y", "b")
		}, true},
		"AppliedNoMore": {"A key that its manager leaves out goes.", func(w written) {
			w.apply("x", "a", "b")
			w.apply("x", "b")
		}, true},
		"Cleared": {"Nothing is told.", func(w written) {
			w.create()
			w.clear()
		}, false},
		"ClearedThenApplied": {"All that is there has a manager again.", func(w written) {
			w.create()
			w.clear()
			w.apply("x", "c")
		}, true},
		"TakenOutThenApplied": {"A key whose manager was taken out by hand is told again.", func(w written) {
			w.apply("x", "a")
			w.apply("y", "b")
			w.takeOut("y")
			w.apply("y", "b")
		}, true},
		"ClearedThenPatched": {"An edit alone has nothing tracked again.", func(w written) {
			w.create()
			w.clear()
			w.patch(`{"data": {"c": "1"}}`)
		}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := written{t, core.ConfigMaps("default"), strings.ToLower(name)}
			tc.write(w)

			o, err := w.maps.Get(t.Context(), w.name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}

			keys, told := patches.Keys(o.ManagedFields)
			has := slices.AppendSeq(slices.Collect(maps.Keys(o.Data)), maps.Keys(o.BinaryData))
			slices.Sort(has)

			if got := slices.Sorted(maps.Keys(keys)); told != tc.told || told && !slices.Equal(got, has) {
				t.Errorf("%s\ntold: %t, want %t; keys %q, want %q; %v", tc.reason, told, tc.told, got, has, o.ManagedFields)
			}
		})
	}

	// A Secret that is applied with stringData has it stored as data.
	secret, err := core.Secrets("default").Apply(t.Context(), corev1apply.Secret("token", "default").WithStringData(map[string]string{"a": "1"}).
		WithData(map[string][]byte{"b": {1}}), metav1.ApplyOptions{FieldManager: "x"})
	if err != nil {
		t.Fatal(err)
	}

	if keys, told := patches.Keys(secret.ManagedFields); !told || !keys["a"] || !keys["b"] {
		t.Errorf("of a Secret with stringData, told are %v: %v", keys, secret.ManagedFields)
	}
}
