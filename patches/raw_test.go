package patches

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// TestUnknownFieldsRaw injects all there is into a pod whose every object has a
// field that no library of ours knows: each is there after, byte for byte.
// (The golden cases compare values: 1e2 is 100 there.)
func TestUnknownFieldsRaw(t *testing.T) {
	const raw = `{"kind":"Pod","newTop":{"z":1,"a":[]},"metadata":{"newMeta":1e2,"labels":{"app":"x"}},"spec":{"newSpec":[null,{}],` +
		`"containers":[{"newContainer":0.10,"name":"app","env":[{"newEnv":12345678901234567890,"name":"B","valueFrom":{"newSource":{"k":"\u2603"}}}],` +
		`"envFrom":[{"newFrom":-0.0,"secretRef":{"name":"s","newRef":true}}],"volumeMounts":[{"newMount":["x"],"name":"v","mountPath":"/v"}],` +
		`"resources":{"newResource":{"b":2,"a":1}}}],"initContainers":[{"newInit":1E+2,"name":"init","restartPolicy":"Always","env":[]}],` +
		`"volumes":[{"newVolume":{"deep":[[[]]]},"name":"v"}],"imagePullSecrets":[{"newSecret":false,"name":"s"}]}}`

	in := &v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "proxy"}}
	in.Spec = v1alpha1.InjectionSpec{
		Selector:         &metav1.LabelSelector{},
		Containers:       v1alpha1.Containers{Init: true},
		Env:              []v1alpha1.EnvVar{{Name: "A", Value: "a"}},
		EnvFrom:          []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "m"}}}},
		Volumes:          []corev1.Volume{{Name: "w", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		VolumeMounts:     []corev1.VolumeMount{{Name: "w", MountPath: "/w"}},
		InitContainers:   []corev1.Container{{Name: "first", Image: "i"}},
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
		Labels:           map[string]string{"team": "shop"},
		Annotations:      map[string]string{"note": "x"},
	}

	pod, err := Decode([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}

	r := New(t.Context(), pod, (&Set{}).With(Compile(in)).Match(pod.Labels, Namespace{Name: "shop", Known: true}))
	if len(r.Failed) > 0 {
		t.Fatalf("not injected: %v", r.Failed)
	}

	patched := string(applyPatch(t, []byte(raw), r.Patch))
	for _, field := range []string{
		`"newTop":{"z":1,"a":[]}`, `"newMeta":1e2`, `"newSpec":[null,{}]`, `"newContainer":0.10`, `"newEnv":12345678901234567890`,
		`"newSource":{"k":"\u2603"}`, `"newFrom":-0.0`, `"newRef":true`, `"newMount":["x"]`, `"newResource":{"b":2,"a":1}`, `"newInit":1E+2`,
		`"newVolume":{"deep":[[[]]]}`, `"newSecret":false`,
	} {
		if !strings.Contains(patched, field) {
			t.Errorf("%s is not there any more: %s", field, patched)
		}
	}

	if strings.Contains(string(r.Patch), `"new`) {
		t.Errorf("the patch writes what it does not know: %s", r.Patch)
	}
}
