package pods

import (
	"hash/maphash"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// seed is that of the hashes of this process.
var seed = maphash.MakeSeed() //nolint:gochecknoglobals // a constant

// looksOf is a hash of all that decides about a pod: it changes with the spec,
// labels, annotations and owner, and not with the status (TestLooks). Most changes
// of pods are of the status, and need no look then. 0: it can't be told.
//
// The generation stands for the spec: an API server counts the edits of it (v1.37.2,
// updatePodGeneration in pkg/registry/core/pod/strategy.go). An old one does not: 0.
func looksOf(pod *corev1.Pod) uint64 {
	decides := corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Labels: pod.Labels, Annotations: pod.Annotations, OwnerReferences: pod.OwnerReferences, Generation: pod.Generation,
	}}
	if pod.Generation == 0 {
		decides.Spec = pod.Spec
	}

	raw, err := decides.Marshal() // protobuf, with the keys of maps in order
	if err != nil {
		return 0
	}

	return maphash.Bytes(seed, raw) | 1
}
