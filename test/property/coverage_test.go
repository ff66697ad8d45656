package property

import (
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// fields are those of a struct type that were drawn.
type fields map[reflect.Type]map[string]bool

// see takes note of what is set.
func (f fields) see(object any) {
	walk(reflect.ValueOf(object), func(v reflect.Value) {
		if f[v.Type()] == nil {
			f[v.Type()] = map[string]bool{}
		}

		for i := range v.NumField() {
			if !v.Field(i).IsZero() {
				f[v.Type()][v.Type().Field(i).Name] = true
			}
		}
	})
}

// TestAllIsDrawn holds that the pods, the Injections and the namespaces have
// every field that they can have. A release's new fields fail it.
func TestAllIsDrawn(t *testing.T) {
	t.Parallel()

	all, err := parseDraws(allDraws)
	if err != nil {
		t.Fatal(err)
	}

	pods, injections, laws := fields{}, fields{}, fields{}

	for n := range uint64(4000) {
		d := newDice(all, 1, n, 20)
		pods.see(d.pod())
		injections.see(new(d.injectionSpec()))
		laws.see(new(d.law()))
	}

	// They hold what containers, volumes and their like can be, and are drawn
	// for pods and for Injections.
	shared := []reflect.Type{
		reflect.TypeFor[corev1.Container](), reflect.TypeFor[corev1.VolumeSource](), reflect.TypeFor[corev1.VolumeProjection](),
		reflect.TypeFor[corev1.EnvVarSource](), reflect.TypeFor[corev1.FileKeySelector](), reflect.TypeFor[corev1.EnvFromSource](), reflect.TypeFor[corev1.VolumeMount](),
		reflect.TypeFor[corev1.Lifecycle](), reflect.TypeFor[corev1.LifecycleHandler](), reflect.TypeFor[corev1.Probe](), reflect.TypeFor[corev1.ProbeHandler](),
		reflect.TypeFor[corev1.SecurityContext](), reflect.TypeFor[corev1.ContainerPort](), reflect.TypeFor[corev1.ResourceRequirements](), reflect.TypeFor[corev1.EmptyDirVolumeSource](),
	}

	cases := map[string]struct {
		reason string
		drawn  fields
		types  []reflect.Type
		not    []string // fields that are not drawn
	}{
		"Pods": {
			reason: "A pod of any shape is compared, save what no new pod can have and what needs objects that are not there.",
			drawn:  pods,
			types:  append(slices.Clone(shared), reflect.TypeFor[corev1.PodSpec](), reflect.TypeFor[corev1.PodSecurityContext]()),
			not:    []string{"EphemeralContainers", "DeprecatedServiceAccount", "Priority", "RuntimeClassName", "Overhead"},
		},
		"Injections": {
			reason: "An Injection can have all that it declares.",
			drawn:  injections,
			types: append(slices.Clone(shared), reflect.TypeFor[v1alpha1.InjectionSpec](), reflect.TypeFor[v1alpha1.EnvVar](), reflect.TypeFor[v1alpha1.Join](),
				reflect.TypeFor[v1alpha1.Containers](), reflect.TypeFor[v1alpha1.OwnerSelector](), reflect.TypeFor[v1alpha1.OwnerTerm](), reflect.TypeFor[v1alpha1.ImageSelector](),
				reflect.TypeFor[v1alpha1.AnnotationSelector](), reflect.TypeFor[v1alpha1.AnnotationRequirement](), reflect.TypeFor[v1alpha1.ConflictPolicies](), reflect.TypeFor[v1alpha1.Requirement]()),
		},
		"Namespaces": {
			reason: "Namespaces have quotas of both kinds of scope, limits of both types and levels.",
			drawn:  laws,
			types:  []reflect.Type{reflect.TypeFor[law](), reflect.TypeFor[corev1.ResourceQuotaSpec](), reflect.TypeFor[corev1.LimitRangeItem]()},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			for _, of := range tc.types {
				for field := range of.Fields() {
					if drawn := tc.drawn[of][field.Name]; drawn == slices.Contains(tc.not, field.Name) {
						t.Errorf("%s\n%s.%s is drawn: %t", tc.reason, of.Name(), field.Name, drawn)
					}
				}
			}
		})
	}
}

// TestNewFields holds that each is drawn, for an Injection where it is to be.
func TestNewFields(t *testing.T) {
	t.Parallel()

	pods, with, without := fields{}, fields{}, fields{}

	for n := range uint64(16000) {
		pods.see(newDice(nil, 1, n, 20).pod())
		with.see(new(newDice(draws{newer}, 1, n, 20).injectionSpec()))
		without.see(new(newDice(nil, 1, n, 20).injectionSpec()))
	}

	for _, f := range newFields() {
		if ofPod := f.in == reflect.TypeFor[corev1.PodSpec](); !pods[f.in][f.name] || with[f.in][f.name] == ofPod || without[f.in][f.name] {
			t.Errorf("the new field %s.%s is drawn for pods: %t, for Injections: %t, and where it is left out: %t",
				f.in.Name(), f.name, pods[f.in][f.name], with[f.in][f.name], without[f.in][f.name])
		}
	}
}

func TestEverySubsetOfProjections(t *testing.T) {
	t.Parallel()

	got := map[int]bool{}
	for n := range uint64(1000) {
		got[len(newDice(nil, 1, n, 0).projected().Sources)] = true
	}

	for size := range reflect.TypeFor[corev1.VolumeProjection]().NumField() + 1 {
		if !got[size] {
			t.Errorf("no projected volume has %d sources", size)
		}
	}
}

func TestAllQuotasAreDrawn(t *testing.T) {
	t.Parallel()

	drawn := map[string]bool{}

	for n := range uint64(2000) {
		q := newDice(nil, 1, n, 0).quota()
		for name := range q.Hard {
			drawn[string(name)] = true
		}

		for _, scope := range q.Scopes {
			drawn[string(scope)] = true
		}
	}

	for _, want := range []string{"limits.cpu", "limits.memory", "requests.cpu", "requests.memory", "pods", "BestEffort", "NotBestEffort", "Terminating", "NotTerminating"} {
		if !drawn[want] {
			t.Errorf("no quota has %s", want)
		}
	}
}
