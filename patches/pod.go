package patches

import (
	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/internal/raw"
)

// Pod is the part of a pod that Injections can meet, decoded from the JSON that
// the API server sent.
type Pod = raw.Pod

// Traits are all of a pod that an Injection can choose it by: those of a Pod, or of
// TraitsOf.
type Traits = raw.Traits

// TraitsOf are the traits of a pod that was decoded by others. They refer to the pod.
func TraitsOf(pod *corev1.Pod) Traits {
	return Traits{
		Labels: pod.Labels, Annotations: pod.Annotations, Controller: metav1.GetControllerOfNoCopy(pod),
		Containers: (*decoded)(pod),
	}
}

// decoded is a pod that tells its images.
type decoded corev1.Pod

// Images are those of the app containers.
func (p *decoded) Images() []string {
	images := make([]string, len(p.Spec.Containers))
	for i := range images {
		images[i] = p.Spec.Containers[i].Image
	}

	return images
}

// Decode reads a pod. Names of fields are case-sensitive, as they are for the
// API server, and none may be there twice. The Pod refers to b, which must not
// change after. An error holds no value of an env var.
func Decode(b []byte) (*Pod, error) { return raw.Decode(b) }

// DecodeNext reads the pod that is next for a decoder of a larger text, such as
// a review, so that the whole of it is read once. Else it is Decode.
func DecodeNext(d *jsontext.Decoder, text []byte) (*Pod, error) { return raw.DecodeNext(d, text) }
