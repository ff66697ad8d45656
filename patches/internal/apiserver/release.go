package apiserver

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/featuregate"
	podutil "k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/core"
	v1 "k8s.io/kubernetes/pkg/apis/core/v1"
)

// Newest is the newest minor version of Kubernetes 1 whose fields are known here.
func Newest() int { return int(utilfeature.DefaultMutableFeatureGate.EmulationVersion().Minor()) }

// Release tells which fields of a pod an API server of a version keeps. Each field
// that came later than the first versions has a feature gate, and the gates know
// since when they exist, since when they are on by default, and since when they
// can't be turned off.
type Release struct{ known, byDefault, certain features }

// features are those that are on.
type features map[featuregate.Feature]bool

// NewRelease returns the release of an API server: the minor version of its program,
// and the one that it emulates, which is mostly the same.
func NewRelease(program, emulated int) *Release {
	r := &Release{known: features{}, byDefault: features{}, certain: features{}}

	for name, specs := range utilfeature.DefaultMutableFeatureGate.GetAllVersioned() {
		r.known[name] = specAt(specs, program) != nil

		if spec := specAt(specs, emulated); spec != nil {
			r.byDefault[name], r.certain[name] = spec.Default, spec.Default && spec.LockToDefault
		}
	}

	return r
}

// specAt is a feature as a version has it; nil if the version does not know it.
func specAt(specs featuregate.VersionedSpecs, minor int) (at *featuregate.FeatureSpec) {
	for i := range specs {
		if !specs[i].Version.GreaterThan(version.MajorMinor(1, uint(minor))) {
			at = &specs[i]
		}
	}

	return at
}

// Receive drops the fields that the API server does not know, as it does when it
// reads a pod.
func (r *Release) Receive(pod *corev1.Pod) error { return drop(pod, r.known) }

// Store drops the fields whose feature gates are off by default as well, as the API
// server does after it has asked webhooks.
func (r *Release) Store(pod *corev1.Pod) error { return drop(pod, r.byDefault) }

// StoreLeast drops all fields whose feature gates can be off.
func (r *Release) StoreLeast(pod *corev1.Pod) error { return drop(pod, r.certain) }

// gates are the feature gates of the process, with other features on.
type gates struct {
	featuregate.FeatureGate

	on features
}

// Enabled tells whether a feature is on.
func (g gates) Enabled(f featuregate.Feature) bool { return g.on[f] }

// dropping is held while other gates than the process's own are in force.
var dropping sync.Mutex //nolint:gochecknoglobals // it guards a global of Kubernetes

// drop drops the fields of a pod whose features are not on. Meanwhile nothing else in
// the process may judge a pod: the API server's code knows one set of gates, which is
// a global.
func drop(pod *corev1.Pod, on features) error {
	var internal core.Pod
	if err := v1.Convert_v1_Pod_To_core_Pod(pod, &internal, nil); err != nil {
		return err
	}

	dropping.Lock()
	defer dropping.Unlock()

	own := utilfeature.DefaultFeatureGate
	defer func() { utilfeature.DefaultFeatureGate = own }()

	utilfeature.DefaultFeatureGate = gates{own, on}

	podutil.DropDisabledPodFields(&internal, nil)

	return v1.Convert_core_Pod_To_v1_Pod(&internal, pod, nil)
}
