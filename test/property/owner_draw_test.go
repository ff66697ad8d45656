package property

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// The names that pods, Injections, policies and ServiceAccounts share, so that
// they meet.
const (
	badImage, ownLabel, ownEnv = "registry.example/bad:1", "legacy", "DEBUG"
	ownSecret                  = "own-secret"
	limited, late              = "limited", "late" // ServiceAccounts
)

func (d dice) secret() string { return fmt.Sprintf("secret-%d", d.IntN(4)) }

// judgedSpec makes the spec of the Injection number i of a namespace, with things
// that policies and ServiceAccounts refuse.
func (d dice) judgedSpec(i int) v1alpha1.InjectionSpec {
	s := v1alpha1.InjectionSpec{Selector: &metav1.LabelSelector{}, OnConflict: pick(d, "", "", v1alpha1.KeepPod)}
	if d.chance(40) {
		s.Selector.MatchLabels = map[string]string{"app": pick(d, "web", "cart")}
	}

	for range 1 + d.IntN(2) {
		switch d.IntN(8) {
		case 0:
			s.Env = []v1alpha1.EnvVar{{Name: fmt.Sprintf("ENV_%d", i), Value: "x"}}
		case 1: // of two such, one is a conflict
			s.Env = []v1alpha1.EnvVar{{Name: "SHARED", Value: fmt.Sprint(i)}}
		case 2:
			s.Env = []v1alpha1.EnvVar{{Name: fmt.Sprintf("TOKEN_%d", i), ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: d.secret()}, Key: "token",
			}}}}
		case 3:
			s.EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: d.secret()}}}}
		case 4:
			name := fmt.Sprintf("data-%d", i)
			s.Volumes = []corev1.Volume{{Name: name, VolumeSource: d.judgedVolume()}}
			s.VolumeMounts = []corev1.VolumeMount{{Name: name, MountPath: "/" + name}}
		case 5, 6:
			name := fmt.Sprintf("init-%d", i)
			s.InitContainers = []corev1.Container{{Name: name, Image: "registry.example/" + name + ":1"}}
		case 7:
			s.Labels = map[string]string{pick(d, "team", fmt.Sprintf("zone-%d", i)): "x"}
			if d.chance(50) {
				s.Annotations = map[string]string{fmt.Sprintf("note-%d", i): "x"}
			}
		}
	}

	if d.chance(10) {
		s.ImagePullSecrets = []corev1.LocalObjectReference{{Name: d.secret()}}
	}

	return s
}

func (d dice) judgedVolume() corev1.VolumeSource {
	return pick(d,
		corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: d.secret()}},
		corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/data"}},
		corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}},
	)
}

// policy refuses pods of a namespace for one thing.
type policy struct {
	// expression is true for a pod that it allows; all are the pod's containers.
	expression, message string
	// ends is true for one that is removed after a while. It has nothing to do with
	// Injections, so that none is blamed in vain because a rule ends in its trial.
	ends bool
}

// policy makes one that refuses what these Injections add, or what a pod has itself.
// Its message names that, nothing, or something else.
func (d dice) policy(injections map[int]v1alpha1.InjectionSpec) policy {
	var p policy

	numbers := slices.Sorted(maps.Keys(injections))
	i, other := pick(d, numbers...), pick(d, numbers...)
	name := fmt.Sprintf("init-%d", i)

	switch d.IntN(14) {
	case 0:
		p.expression = "variables.all.all(c, c.image != 'registry.example/" + name + ":1')"
	case 1, 2:
		p.expression = "variables.all.all(c, c.name != '" + name + "')"
	case 3:
		name = pick(d, fmt.Sprintf("ENV_%d", i), fmt.Sprintf("TOKEN_%d", i), "SHARED")
		p.expression = "variables.all.all(c, !has(c.env) || c.env.all(e, e.name != '" + name + "'))"
	case 4:
		p.expression = "variables.all.all(c, !has(c.envFrom) || c.envFrom.all(e, !has(e.secretRef)))"
	case 5:
		name = pick(d, "team", fmt.Sprintf("zone-%d", i))
		p.expression = "!('" + name + "' in object.metadata.labels)"
	case 6:
		name = fmt.Sprintf("note-%d", i)
		p.expression = "!has(object.metadata.annotations) || !('" + name + "' in object.metadata.annotations)"
	case 7, 8:
		kind := pick(d, "secret", "hostPath", "emptyDir")
		name = fmt.Sprintf("data-%d", i)
		p.expression = "!has(object.spec.volumes) || object.spec.volumes.all(v, !has(v." + kind + "))"
	case 9:
		p.expression = "!has(object.spec.initContainers) || size(object.spec.initContainers) < 2"
	case 10:
		name = "team"
		p.expression = "'team' in object.metadata.labels"
	default:
		p = d.ownPolicy()
	}

	p.message = "this is not allowed here."

	switch all := injections[other].InitContainers; {
	case d.chance(40):
		p.message = "because of " + name + "."
	case d.chance(50) && len(all) > 0: // guilty or not
		p.message = "not with " + all[0].Name + " and " + name + "."
	}

	return p
}

// ownPolicy makes one that refuses what a pod has itself, for a while.
func (d dice) ownPolicy() policy {
	return policy{ends: true, expression: pick(d,
		"variables.all.all(c, c.image != '"+badImage+"')",
		"!('"+ownLabel+"' in object.metadata.labels)",
		"variables.all.all(c, !has(c.env) || c.env.all(e, e.name != '"+ownEnv+"'))",
	)}
}

// limitedAccount makes the ServiceAccount with a limit: it lists few Secrets.
func (d dice) limitedAccount() *corev1.ServiceAccount {
	a := &corev1.ServiceAccount{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta: metav1.ObjectMeta{Name: limited, Annotations: map[string]string{"kubernetes.io/enforce-mountable-secrets": "true"}},
	}

	for i := range 4 {
		if name := fmt.Sprintf("secret-%d", i); d.chance(40) {
			a.Secrets = append(a.Secrets, corev1.ObjectReference{Name: name})
		}

		if name := fmt.Sprintf("secret-%d", i); d.chance(40) {
			a.ImagePullSecrets = append(a.ImagePullSecrets, corev1.LocalObjectReference{Name: name})
		}
	}

	if d.chance(40) {
		a.Secrets = append(a.Secrets, corev1.ObjectReference{Name: ownSecret})
	}

	return a
}

// replicaSet makes one of one pod, mostly a good one.
func (d dice) replicaSet(name string, good bool) *appsv1.ReplicaSet {
	labels := map[string]string{"set": name, "app": pick(d, "web", "cart")}
	app := corev1.Container{Name: "app", Image: "registry.example/app:1"}
	pod := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}}

	kind, account := d.IntN(20), pick(d, "", "", "", "", "", limited, limited, limited, late)
	if good {
		kind, account = max(kind, 6), strings.Replace(account, late, "", 1)
	}

	switch kind {
	case 0, 1:
		app.Image = badImage
	case 2, 3:
		labels[ownLabel] = "yes"
	case 4:
		app.Env = []corev1.EnvVar{{Name: ownEnv, Value: "1"}}
	case 5:
		pod.Spec.Volumes = []corev1.Volume{{Name: "own", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: ownSecret}}}}
	case 6:
		app.Env = []corev1.EnvVar{{Name: "SHARED", Value: "own"}}
	case 7:
		labels["team"] = "own"
	case 8:
		pod.Spec.Volumes = []corev1.Volume{{Name: "own", VolumeSource: d.judgedVolume()}}
	case 9:
		pod.Spec.InitContainers = []corev1.Container{{Name: "first", Image: "registry.example/first:1"}}
	}

	pod.Spec.ServiceAccountName = account
	pod.Spec.Containers = []corev1.Container{app}

	return &appsv1.ReplicaSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "ReplicaSet"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: new(int32(1)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"set": name}}, Template: pod,
		},
	}
}
