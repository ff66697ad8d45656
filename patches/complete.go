package patches

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/internal/apiserver"
)

// Complete sets in a pod all that the API server sets before it asks the webhook:
// its defaults, those of the LimitRanges in the namespace, and what the pod's
// ServiceAccount gives it. A nil account is one without settings. A second call
// changes nothing. The webhook does not need it: it gets complete pods. It is for
// tools that have only a pod's template. An error is for a pod that the API server
// refuses.
func Complete(pod *corev1.Pod, ns Namespace, account *corev1.ServiceAccount) error {
	return apiserver.Complete(pod, ns.Limits, account)
}

// Patched applies a patch of New to the pod that it is for, in place.
func Patched(pod *corev1.Pod, patch []byte) error { return apiserver.Apply(pod, patch) }

// Stored sets in the containers of a pod all that the API server sets once it has asked
// webhooks, when it stores the pod: the AppArmor profiles that annotations name.
func Stored(pod *corev1.Pod) error { return apiserver.SetProfiles(pod) }
