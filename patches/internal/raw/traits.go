package raw

import (
	"github.com/go-json-experiment/json" // encoding/json/v2 of Go 1.27
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Traits are all of a pod that an Injection can choose it by. The zero Traits are
// those of a pod without anything.
type Traits struct {
	Labels, Annotations map[string]string
	// Controller is the owner reference with controller: true, or nil.
	Controller *metav1.OwnerReference
	// Containers are asked for their images if an Injection chooses by them. Nil: the
	// pod has none.
	Containers Imager
}

// Imager knows the images of the app containers of a pod, as the pod states them.
type Imager interface{ Images() []string }

// Traits are what Injections choose the pod by.
func (p *Pod) Traits() Traits {
	return Traits{Labels: p.Labels, Annotations: p.Annotations, Controller: p.Controller, Containers: p}
}

// Images are those of the app containers. The JSON is read for them once, and only if
// they are asked for: few Injections choose by them.
func (p *Pod) Images() []string {
	if p.images == nil {
		var wire struct {
			Spec struct {
				Containers []struct {
					Image string `json:"image"`
				} `json:"containers"`
			} `json:"spec"`
		}

		// The same bytes were decoded before: what fails here is no image.
		_ = json.Unmarshal(p.JSON, &wire)
		p.images = make([]string, len(wire.Spec.Containers))

		for i, c := range wire.Spec.Containers {
			p.images[i] = c.Image
		}
	}

	return p.images
}
