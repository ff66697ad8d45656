package patches

import (
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/internal/apiserver"
)

// TestRelease drops what a version does not know when it reads a pod, what is off by
// default when it stores one, and is in doubt about what can be set.
func TestRelease(t *testing.T) {
	for name, tc := range map[string]struct {
		reason           string
		minor            int
		set              func(*corev1.PodSpec)
		received, stored bool
		doubt            string
	}{
		"Unknown": {
			"v1.36 has no such field.", 36,
			func(s *corev1.PodSpec) { s.Containers[0].VolumeMounts[0].BindMountOptions = []string{"noexec"} }, false, false, "",
		},
		"Alpha": {
			"Off by default, so that webhooks see what pods don't have.", 36,
			func(s *corev1.PodSpec) {
				s.Containers[0].Lifecycle = &corev1.Lifecycle{StopSignal: new(corev1.SIGTERM)}
			},
			true, false, "spec.containers[0].lifecycle.stopSignal",
		},
		"Beta": {
			"On by default, and can be off.", 35,
			func(s *corev1.PodSpec) {
				s.Containers[0].Env[0] = corev1.EnvVar{Name: "A", ValueFrom: &corev1.EnvVarSource{FileKeyRef: &corev1.FileKeySelector{VolumeName: "v", Path: "p", Key: "k"}}}
			}, true, true, "spec.containers[0].env[0].valueFrom.fileKeyRef",
		},
		"Stable": {
			"It can't be off.", 36,
			func(s *corev1.PodSpec) {
				s.Containers[0].VolumeMounts[0].RecursiveReadOnly = new(corev1.RecursiveReadOnlyEnabled)
			}, true, true, "",
		},
		"Old": {"It has no gate.", 34, func(s *corev1.PodSpec) { s.NodeName = "a" }, true, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			pod := func() *corev1.Pod {
				return &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "app", Env: []corev1.EnvVar{{Name: "A", Value: "a"}}, VolumeMounts: []corev1.VolumeMount{{Name: "v", MountPath: "/v"}},
				}}}}
			}

			r, with := NewRelease(tc.minor, tc.minor), pod()
			tc.set(&with.Spec)

			for title, check := range map[string]struct {
				drop func(*corev1.Pod) error
				want bool
			}{"received": {r.Receive, tc.received}, "stored": {r.Store, tc.stored}} {
				got := with.DeepCopy()
				if err := check.drop(got); err != nil {
					t.Fatal(err)
				}

				if kept := encodePod(t, got) == encodePod(t, with); kept != check.want {
					t.Errorf("%s %s: kept is %t", tc.reason, title, kept)
				}
			}

			if doubt, err := r.Doubt(with); err != nil || doubt != tc.doubt {
				t.Errorf("%s in doubt: %q (%v), want %q", tc.reason, doubt, err, tc.doubt)
			}
		})
	}
}

// TestReleaseIsPassing: once a field is dropped, pods are judged as before.
func TestReleaseIsPassing(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "x"}}, HostnameOverride: new("a")}}
	before := len(apiserver.Refusals(pod.DeepCopy()))

	if err := NewRelease(30, 30).Store(pod.DeepCopy()); err != nil {
		t.Fatal(err)
	}

	if after := len(apiserver.Refusals(pod.DeepCopy())); after != before {
		t.Errorf("%d refusals, then %d", before, after)
	}
}

func encodePod(t *testing.T, pod *corev1.Pod) string {
	t.Helper()

	raw, err := json.Marshal(pod.Spec)
	if err != nil {
		t.Fatal(err)
	}

	return string(raw)
}
