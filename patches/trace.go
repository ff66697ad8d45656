package patches

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// tokenPrefix starts the name of the volume that the API server adds to a pod for
// its token. Five letters follow that it draws by chance, before it calls webhooks.
//
// Source: ServiceAccountVolumeName, k8s.io/kubernetes v1.37.2
// plugin/pkg/admission/serviceaccount/admission.go.
const tokenPrefix = "kube-api-access-"

// traceBytes is how many bytes of a hash a trace has.
const traceBytes = 6

// Trace names a pod in a review as well as once it exists: a controller's pod has
// no name and no uid in its review. It is a hash of what stays the same: the
// controller, the name or generateName, the volume of the token, and the second of
// the request, which is in managedFields. Pods without a token that a controller
// creates in the same second have the same trace (webhook.TestCallerStoppedWaiting).
//
// A review's pod may lack its namespace, so that is named apart.
func Trace(pod *corev1.Pod, namespace string) string {
	parts := []string{namespace, pod.GenerateName}

	if pod.GenerateName == "" {
		parts[1] = pod.Name
	}

	if by := metav1.GetControllerOfNoCopy(pod); by != nil {
		parts = append(parts, string(by.UID))
	}

	for i := range pod.Spec.Volumes {
		if name := pod.Spec.Volumes[i].Name; strings.HasPrefix(name, tokenPrefix) {
			parts = append(parts, name)
		}
	}

	parts = append(parts, strconv.FormatInt(requested(pod).Unix(), 10))
	hash := sha256.Sum256([]byte(strings.Join(parts, "\x00")))

	return base64.RawURLEncoding.EncodeToString(hash[:traceBytes])
}

// requested is when a pod's creation was requested, by the API server's clock, or
// zero if nothing tells. Later requests that change the pod have a later time.
func requested(pod *corev1.Pod) (first time.Time) {
	for _, by := range pod.ManagedFields {
		if by.Subresource == "" && by.Time != nil && (first.IsZero() || by.Time.Time.Before(first)) {
			first = by.Time.Time
		}
	}

	return first
}
