package patches

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// all has something of everything that an Injection may add.
func all() *v1alpha1.InjectionSpec {
	return &v1alpha1.InjectionSpec{
		Selector:     &metav1.LabelSelector{},
		Env:          []v1alpha1.EnvVar{{Name: "A", Value: "a"}, {Name: "EMPTY"}},
		EnvFrom:      []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}}}},
		VolumeMounts: []corev1.VolumeMount{{Name: "v", MountPath: "/v"}, {Name: "v", MountPath: "/w", SubPath: "w"}},
		Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{Name: new("b"), Path: "ca.pem"}}},
		}}}},
		InitContainers: []corev1.Container{{
			Name: "sidecar", Image: "i", RestartPolicy: new(corev1.ContainerRestartPolicyAlways),
			Lifecycle: &corev1.Lifecycle{StopSignal: new(corev1.SIGUSR1)}, SecurityContext: &corev1.SecurityContext{},
		}, {Name: "second", Image: "i"}},
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "p"}},
		Labels:           map[string]string{"l": "1"},
		Annotations:      map[string]string{"a": "1"},
	}
}

// TestDropped takes something out of a sample, or adds to it, as an API server
// may.
func TestDropped(t *testing.T) {
	cases := map[string]struct {
		reason string
		server func(*corev1.PodTemplateSpec)
		want   string
	}{
		"Nothing":  {"It came back as it was.", func(*corev1.PodTemplateSpec) {}, ""},
		"Defaults": {"What is filled in is nothing dropped.", func(s *corev1.PodTemplateSpec) { s.Spec.InitContainers[0].TerminationMessagePath = "/x" }, ""},
		"OtherValue": {
			"Values are the server's to write.", func(s *corev1.PodTemplateSpec) { s.Spec.InitContainers[0].Image = "registry.example/i" }, "",
		},
		"Empty": {
			"What is empty may be left out.", func(s *corev1.PodTemplateSpec) { s.Spec.InitContainers[0].SecurityContext = nil }, "",
		},
		"OnlyInSample": {
			"The rest of the sample is not the Injection's.", func(s *corev1.PodTemplateSpec) {
				s.Spec.Containers[0].SecurityContext, s.Spec.TerminationGracePeriodSeconds = nil, nil
			}, "",
		},
		"OthersFirst": {
			"Something else put a container before it.", func(s *corev1.PodTemplateSpec) {
				s.Spec.InitContainers = append([]corev1.Container{{Name: "theirs"}}, s.Spec.InitContainers...)
			}, "",
		},
		"Field": {
			"The field of a feature gate that is off.", func(s *corev1.PodTemplateSpec) { s.Spec.InitContainers[0].Lifecycle.StopSignal = nil },
			"spec.initContainers[0].lifecycle.stopSignal",
		},
		"FieldAndItsParent": {
			"The server leaves no empty parent: what was in it is named.", func(s *corev1.PodTemplateSpec) { s.Spec.InitContainers[0].Lifecycle = nil },
			"spec.initContainers[0].lifecycle.stopSignal",
		},
		"Source": {
			"Of several fields their parent is named.", func(s *corev1.PodTemplateSpec) { s.Spec.Volumes[0].Projected.Sources[0].ClusterTrustBundle = nil },
			"spec.volumes[0].projected.sources[0].clusterTrustBundle",
		},
		"OfAppContainers": {
			"Two mounts of one volume are told apart.", func(s *corev1.PodTemplateSpec) { s.Spec.Containers[0].VolumeMounts[1].SubPath = "" },
			"spec.volumeMounts[1].subPath",
		},
		"Element":    {"A container.", func(s *corev1.PodTemplateSpec) { s.Spec.InitContainers = s.Spec.InitContainers[:1] }, "spec.initContainers[1]"},
		"Label":      {"A label.", func(s *corev1.PodTemplateSpec) { s.Labels = nil }, "spec.labels.l"},
		"PullSecret": {"A secret.", func(s *corev1.PodTemplateSpec) { s.Spec.ImagePullSecrets = nil }, "spec.imagePullSecrets"},
		"EnvFrom":    {"A source without a name.", func(s *corev1.PodTemplateSpec) { s.Spec.Containers[0].EnvFrom = nil }, "spec.envFrom"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			samples := 0

			for sample := range Samples(all()) {
				kept := sample.DeepCopy()
				c.server(kept)

				if got := Dropped(sample, kept); got != c.want {
					t.Errorf("%s got %q, want %q", c.reason, got, c.want)
				}

				samples++
			}

			if samples != 3 {
				t.Errorf("%d samples", samples)
			}
		})
	}
}

// TestField names fields as the author of an Injection knows them.
func TestField(t *testing.T) {
	for sample, want := range map[string]string{
		"spec.containers[0].env[1].name":                 "spec.env[1].name",
		"template.spec.containers[0].volumeMounts[0]":    "spec.volumeMounts[0]",
		"template.spec.initContainers[0].lifecycle":      "spec.initContainers[0].lifecycle",
		"template.spec.volumes[2].name":                  "spec.volumes[2].name",
		"template.metadata.annotations":                  "spec.annotations",
		"metadata.labels":                                "spec.labels",
		"template.spec.initContainers[0].image: too odd": "spec.initContainers[0].image: too odd",
	} {
		if got := Field(sample); got != want {
			t.Errorf("%s is %s, want %s", sample, got, want)
		}
	}
}

// TestRefused has an API server refuse an Injection and take it again. It has no
// say where our own checks refuse it.
func TestRefused(t *testing.T) {
	good := Compile(&v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "good"}, Spec: *all()})
	refused := good.Refused("spec.env: no")

	if good.Err() != nil || refused.Err() == nil || refused.Err().Error() != "spec.env: no" || refused.Revision() != good.Revision() {
		t.Errorf("%v, refused: %v", good.Err(), refused.Err())
	}

	if refused.Refused("spec.env: no") != refused || good.Refused("") != good {
		t.Error("a copy was made for nothing")
	}

	if again := refused.Refused("other").Refused(""); again.Err() != nil {
		t.Errorf("taken again: %v", again.Err())
	}

	spec := all()
	spec.Env = append(spec.Env, spec.Env...)

	bad := Compile(&v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "bad"}, Spec: *spec})
	if own := bad.Err(); own == nil || bad.Refused("spec.env: no") != bad || bad.Refused("") != bad {
		t.Errorf("our own check is %v", own)
	}
}
