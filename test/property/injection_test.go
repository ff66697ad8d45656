package property

import (
	"fmt"
	"math"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// spec makes the spec of an Injection, with one field or many.
func (d dice) injectionSpec() v1alpha1.InjectionSpec {
	d.inject = true
	s := v1alpha1.InjectionSpec{Selector: &metav1.LabelSelector{}, Order: int32(d.IntN(3) - 1)}
	if d.chance(50) {
		s.Selector.MatchLabels = map[string]string{"app": pick(d, "web", "cart")}
	}

	s.OnConflict = pick(d, "", v1alpha1.Skip, v1alpha1.KeepPod, v1alpha1.Override)
	s.Placement.Env, s.Placement.InitContainers = pick(d, "", v1alpha1.Last), pick(d, "", v1alpha1.Last)
	s.OnFailure = pick(d, "", "", "", "", "", "", "", v1alpha1.Deny)

	s.Mode = pick(d, "", "", "", "", "", "", "", v1alpha1.Active, v1alpha1.Preview, v1alpha1.Paused)

	if d.chance(40) {
		s.Containers = v1alpha1.Containers{Include: []string{pick(d, "*", "app", "side-*")}, Init: d.chance(50)}
		if d.chance(30) {
			s.Containers.Exclude = []string{"side-1"}
		}
	}

	d.choosy(&s)
	s.Requires = d.requires()

	for range 1 + d.IntN(3) {
		d.declare(&s)
	}

	d.addNew(&s)

	if d.odd(60) {
		d.spoil(&s)
	}

	return s
}

// declare adds something to inject.
func (d dice) declare(s *v1alpha1.InjectionSpec) {
	switch d.IntN(9) {
	case 0:
		if d.draws.has(files) && d.chance(20) {
			s.Volumes = []corev1.Volume{{Name: names(d, "v", 8)[0], VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		}

		s.Env = d.joined(v1alpha1.EnvOf(d.env(4, s.Volumes)))
	case 1:
		s.EnvFrom = d.envFrom()
	case 2, 3:
		s.Volumes = d.volumes(3)
		s.VolumeMounts = d.mounts(s.Volumes, 3)
	case 4:
		s.VolumeMounts = d.mounts([]corev1.Volume{{Name: names(d, "v", 8)[0]}}, 2)
	case 5, 6:
		all := names(d, "c", 14)
		s.InitContainers = some(d, 3, func(i int) corev1.Container {
			return d.asInit(d.container(pick(d, all[i], all[i], all[i], "app"), s.Volumes))
		})
	case 7:
		s.Labels, s.Annotations = d.labels(), d.injectedAnnotations()
	case 8:
		s.ImagePullSecrets = []corev1.LocalObjectReference{{Name: pick(d, "pull", "registry")}}
	}
}

func (d dice) injectedAnnotations() map[string]string {
	a := map[string]string{}
	for k, v := range d.annotations() {
		if !strings.HasPrefix(k, "telltale.dev/") {
			a[k] = v
		}
	}

	switch d.IntN(30) {
	case 0:
		a[corev1.MirrorPodAnnotationKey] = "x"
	case 1:
		a["controller.kubernetes.io/pod-deletion-cost"] = "cheap"
	case 2:
		a["container.apparmor.security.beta.kubernetes.io/app"] = "bad"
	case 3:
		a["container.apparmor.security.beta.kubernetes.io/nobody"] = "runtime/default"
	case 4:
		a["scheduler.alpha.kubernetes.io/tolerations"] = `[{"operator":"Bad"}]`
	case 5:
		a["seccomp.security.alpha.kubernetes.io/pod"] = pick(d, "docker/default", "bad")
	case 6:
		a["example.com/big"] = strings.Repeat("x", pick(d, 100<<10, 200<<10))
	}

	return a
}

// spoil puts a value of the right type, and mostly a bad one, somewhere.
func (d dice) spoil(s *v1alpha1.InjectionSpec) {
	v := reflect.ValueOf(s).Elem()
	for _, f := range d.Perm(8) {
		field := v.FieldByName([]string{
			"Env", "EnvFrom", "VolumeMounts", "Volumes", "InitContainers", "InitContainers", "Labels", "Annotations",
		}[f])
		if field.Len() > 0 {
			d.spoilValue(field, 0)

			if !d.mayBeNewer() {
				takeNew(s)
			}

			return
		}
	}
}

func (d dice) spoilValue(v reflect.Value, depth int) {
	if !v.CanInterface() {
		return // of a time, say
	}

	switch v.Interface().(type) {
	case resource.Quantity:
		v.Set(reflect.ValueOf(resource.MustParse(pick(d, "-1", "0", "1.5", "1Ei", "100m"))))

		return
	case intstr.IntOrString:
		v.Set(reflect.ValueOf(pick(d, intstr.FromInt32(0), intstr.FromInt32(70000), intstr.FromString("no such port"))))

		return
	}

	switch v.Kind() {
	case reflect.String:
		v.SetString(pick(d, "", "x", "Bad Value", "../up", "/abs", "a:b", "-1", "requests.cpu", "spec.bad", strings.Repeat("x", 300), "\x01"))
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int32:
		v.SetInt(pick(d, int64(0), -1, 1, 70000, math.MaxInt32))
	case reflect.Int64:
		v.SetInt(pick(d, int64(0), -1, 1, 70000, math.MaxInt64))
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}

		if depth < 8 && d.chance(90) {
			d.spoilValue(v.Elem(), depth+1)
		}
	case reflect.Struct:
		d.spoilValue(v.Field(d.IntN(v.NumField())), depth+1)
	case reflect.Slice:
		if v.Len() == 0 || d.chance(15) {
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		}

		d.spoilValue(v.Index(d.IntN(v.Len())), depth+1)
	case reflect.Map:
		d.spoilMap(v)
	default: // these APIs have no other kinds
	}
}

func (d dice) spoilMap(v reflect.Value) {
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}

	value := reflect.New(v.Type().Elem()).Elem()
	d.spoilValue(value, 8)
	v.SetMapIndex(reflect.ValueOf(pick(d, "cpu", "bad key", "example.com/x", "memory")).Convert(v.Type().Key()), value)
}

// injections makes the Injections of a namespace.
func (d dice) injections() []*v1alpha1.Injection {
	var all []*v1alpha1.Injection
	for i := range 1 + d.IntN(5) {
		all = append(all, newInjection(fmt.Sprintf("in-%d", i), d.injectionSpec()))
	}

	return all
}

func newInjection(name string, spec v1alpha1.InjectionSpec) *v1alpha1.Injection {
	return &v1alpha1.Injection{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Injection"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       spec,
	}
}

// clusterInjections makes a few for namespaces with the label cluster: "yes".
func (d dice) clusterInjections(n int) []*v1alpha1.ClusterInjection {
	var all []*v1alpha1.ClusterInjection
	for i := range n {
		c := &v1alpha1.ClusterInjection{
			TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ClusterInjection"},
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("cl-%d", i)},
		}
		c.Spec.InjectionSpec = d.injectionSpec()
		c.Spec.Selector.MatchLabels = map[string]string{"tier": pick(d, "a", "b", "")}
		c.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"cluster": "yes"}}
		all = append(all, c)
	}

	return all
}
