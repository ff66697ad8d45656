package raw

import (
	"fmt"

	"github.com/go-json-experiment/json" // encoding/json/v2 of Go 1.27
	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"
)

// Elements are a pod's volumes and init containers as they stand in its JSON.
type Elements struct {
	Volumes        []jsontext.Value `json:"volumes"`
	InitContainers []jsontext.Value `json:"initContainers"`
}

// Elements returns the volumes and the init containers as JSON. It is for the
// rare pod that has one of an Injection's name already; the JSON is read once.
func (p *Pod) Elements() *Elements {
	if p.elements == nil {
		var wire struct {
			Spec Elements `json:"spec"`
		}

		// The same bytes were decoded before: what fails here failed there.
		_ = json.Unmarshal(p.JSON, &wire)
		p.elements = &wire.Spec
	}

	return p.elements
}

// Whole decodes all of the pod that our libraries know. An error holds no value
// of an env var.
func (p *Pod) Whole() (*corev1.Pod, error) {
	var pod corev1.Pod
	if err := json.Unmarshal(p.JSON, &pod); err != nil {
		return nil, fmt.Errorf("cannot decode the whole pod: %w", withoutValue(err))
	}

	return &pod, nil
}
