package patches

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/internal/apiserver"
)

// Newest is the newest minor version of Kubernetes 1 whose fields are known here.
func Newest() int { return apiserver.Newest() }

// Release tells which fields an API server of a version keeps. The webhook does not
// need it: it gets pods from the API server, and asks that about Injections. It is for
// tools that have files. Its methods set a global of Kubernetes' code for a moment, so
// that no other goroutine may judge pods meanwhile (house.TestReleasesAreForTools).
type Release struct{ *apiserver.Release }

// NewRelease returns the release of an API server: the minor version of its program,
// and the one that it emulates (--emulated-version), which is mostly the same.
func NewRelease(program, emulated int) Release {
	return Release{apiserver.NewRelease(program, emulated)}
}

// Doubt is the first field of a pod that the API server knows, and may keep or drop:
// someone may have set its feature gate to another value than the default. It is ""
// if there is none.
func (r Release) Doubt(pod *corev1.Pod) (field string, err error) {
	most, least := pod.DeepCopy(), pod.DeepCopy()
	if err := r.Receive(most); err != nil {
		return "", err
	}

	if err := r.StoreLeast(least); err != nil {
		return "", err
	}

	want, err := treeOfPod(most)
	if err != nil {
		return "", err
	}

	have, err := treeOfPod(least)

	return missing("spec", want, have), err
}

func treeOfPod(pod *corev1.Pod) (tree any, err error) {
	raw, err := json.Marshal(pod.Spec)
	if err != nil {
		return nil, err
	}

	return tree, json.Unmarshal(raw, &tree)
}
