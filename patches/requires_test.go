package patches

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

func TestRequired(t *testing.T) {
	optional, named := new(true), corev1.LocalObjectReference{Name: "corp-ca"}
	volume := func(keys ...string) corev1.Volume {
		v := corev1.Volume{Name: "ca", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: named}}}
		for _, key := range keys {
			v.ConfigMap.Items = append(v.ConfigMap.Items, corev1.KeyToPath{Key: key, Path: key})
		}

		return v
	}

	cases := map[string]struct {
		reason string
		spec   v1alpha1.InjectionSpec
		want   []Required
	}{
		"None": {"Most Injections require nothing, whatever they name.", v1alpha1.InjectionSpec{Volumes: []corev1.Volume{volume()}}, nil},
		"Once": {
			"One look at each object is enough.",
			v1alpha1.InjectionSpec{Requires: []v1alpha1.Requirement{
				{Kind: "ConfigMap", Name: "corp-ca", Keys: []string{"a", "b"}}, {Kind: "Secret", Name: "corp-ca"}, {Kind: "ConfigMap", Name: "corp-ca", Keys: []string{"b", "c"}},
			}},
			[]Required{{Kind: "ConfigMap", Name: "corp-ca", Keys: []string{"a", "b", "c"}}, {Kind: "Secret", Name: "corp-ca"}},
		},
		"References": {
			"The keys that a reference names are required, too.",
			v1alpha1.InjectionSpec{
				Requires: []v1alpha1.Requirement{{Kind: "References"}}, Volumes: []corev1.Volume{volume("ca.crt")},
				EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: named, Optional: optional}}},
			},
			[]Required{{Kind: "ConfigMap", Name: "corp-ca", Keys: []string{"ca.crt"}, isReference: true}},
		},
		"NamedToo": {
			"One that is in the list as well is not cured by optional: true.",
			v1alpha1.InjectionSpec{
				Requires: []v1alpha1.Requirement{{Kind: "References"}, {Kind: "ConfigMap", Name: "corp-ca"}}, Volumes: []corev1.Volume{volume()},
			},
			[]Required{{Kind: "ConfigMap", Name: "corp-ca"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, requiredOf(&tc.spec), cmp.AllowUnexported(Required{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s\n-want +got\n%s", tc.reason, diff)
			}
		})
	}
}

// lookOf answers the same of all objects.
type lookOf Sight

func (s lookOf) Look(string, Required) (sight Sight, key string) { return Sight(s), "ca.crt" }

func TestRequiredIsKnown(t *testing.T) {
	in := Compile(&v1alpha1.Injection{
		ObjectMeta: metav1.ObjectMeta{Name: "ca", Namespace: "shop"},
		Spec: v1alpha1.InjectionSpec{
			Selector: &metav1.LabelSelector{}, Requires: []v1alpha1.Requirement{{Kind: "ConfigMap", Name: "corp-ca"}},
			Env: []v1alpha1.EnvVar{{Name: "A", Value: "1"}},
		},
	})

	cases := map[string]struct {
		reason  string
		objects Objects
		want    Reason
	}{
		"Seen":     {"It is there.", lookOf(Seen), ""},
		"Gone":     {"The pod would wait for it.", lookOf(Gone), Unmet},
		"Keyless":  {"It would wait for the key, too.", lookOf(Keyless), Unmet},
		"Unloaded": {"A cold cache is no answer.", lookOf(Unloaded), NotLoaded},
		"Unseen":   {"Without the right to look, nothing is claimed.", lookOf(Unseen), ""},
		"Nobody":   {"The same if there is nobody to ask.", nil, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			pod, err := Decode([]byte(`{"metadata": {}, "spec": {"containers": [{"name": "app"}]}}`))
			if err != nil {
				t.Fatal(err)
			}

			ns := Namespace{Name: "shop", Known: true, Objects: tc.objects}
			r := New(t.Context(), pod, (&Set{}).With(in).Match(pod.Traits(), ns))

			got := Reason("")
			if len(r.Failed) > 0 {
				got = r.Failed[0].Reason
			}

			if got != tc.want || len(r.Failed)+len(r.Injected) != 1 {
				t.Errorf("%s\ngot %q (%v), want %q", tc.reason, got, r.Failed, tc.want)
			}
		})
	}
}

// TestKeys has the managedFields of real objects.
func TestKeys(t *testing.T) {
	cases := map[string]struct {
		reason string
		fields []string
		want   []string
		told   bool
	}{
		"Applied":  {"Of kubectl apply.", []string{`{"f:data":{".":{},"f:ca.crt":{}},"f:metadata":{"f:annotations":{}}}`}, []string{"ca.crt"}, true},
		"Binary":   {"Of a file that is no text.", []string{`{"f:binaryData":{"f:trust.jks":{}}}`}, []string{"trust.jks"}, true},
		"Several":  {"Each manager has its keys.", []string{`{"f:data":{"f:a":{}}}`, `{"f:data":{"f:b":{}}}`}, []string{"a", "b"}, true},
		"Dotted":   {"A key may be any such word.", []string{`{"f:data":{"f:.":{},".":{}}}`}, []string{"."}, true},
		"Emptied":  {"Somebody manages data, and no key is left.", []string{`{"f:data":{}}`}, nil, true},
		"Labels":   {"Nobody manages data.", []string{`{"f:metadata":{"f:labels":{"f:a":{}}}}`}, nil, false},
		"Cleared":  {"managedFields were cleared, or never there.", nil, nil, false},
		"Unknown":  {"Another form of fields.", []string{`[]`}, nil, false},
		"Absent":   {"An entry without fields.", []string{``}, nil, false},
		"Compound": {"Only keys are keys.", []string{`{"f:data":{"k:{\"name\":\"a\"}":{},"v:1":{}}}`}, nil, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var by []metav1.ManagedFieldsEntry

			for _, f := range tc.fields {
				var entry metav1.ManagedFieldsEntry
				if f != "" {
					entry.FieldsV1 = metav1.NewFieldsV1(f)
				}

				by = append(by, entry)
			}

			keys, told := Keys(by)
			if got := slices.Sorted(maps.Keys(keys)); told != tc.told || !slices.Equal(got, tc.want) {
				t.Errorf("%s\ngot %q, told: %t; want %q, told: %t", tc.reason, got, told, tc.want, tc.told)
			}
		})
	}
}
