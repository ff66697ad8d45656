// Package raw reads of a pod what Injections can meet, from the JSON that the
// API server sent. The rest of the pod stays as it is: its bytes are not looked at.
package raw

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json" // encoding/json/v2 of Go 1.27
	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Pod is the part of a pod that Injections can meet. It is read-only but for
// Excluding and Doubt, and for one goroutine at a time.
type Pod struct {
	// Name is empty for most pods of a controller: the API server makes it up
	// from GenerateName only after admission.
	Name, GenerateName  string
	Labels, Annotations map[string]string
	// Controller is the owner reference with controller: true, or nil.
	Controller *metav1.OwnerReference
	// Excluding are the requirements of the controller's selector that an added
	// label can break. They are not in the pod: set them where they are known.
	Excluding labels.Requirements
	// Doubt is the reason why the pod may need other Injections than those that are
	// known; "" if there is none. Decode leaves it empty; callers set it.
	Doubt string
	// Spec is the part of the spec that Injections can meet.
	Spec Spec
	// JSON is the whole pod, as it came.
	JSON []byte

	elements *Elements // once they were asked for
}

// Spec is the part of a pod's spec that Injections can meet.
type Spec struct {
	Volumes             []Named     `json:"volumes"`
	InitContainers      []Container `json:"initContainers"`
	Containers          []Container `json:"containers"`
	EphemeralContainers []Named     `json:"ephemeralContainers"`
	ImagePullSecrets    []Named     `json:"imagePullSecrets"`

	// OS and Resources are asked only whether they are there.
	OS          jsontext.Value `json:"os"`
	Resources   jsontext.Value `json:"resources"`
	HostNetwork bool           `json:"hostNetwork"`
}

// Named is an element. Only its name counts.
type Named struct {
	Name string `json:"name"`
}

// Container is a container or an init container.
type Container struct {
	Name  string `json:"name"`
	Image string `json:"image"`
	// RestartPolicy is empty for most: Always makes a native sidecar of an init container.
	RestartPolicy string                 `json:"restartPolicy"`
	Env           []EnvVar               `json:"env"`
	EnvFrom       []corev1.EnvFromSource `json:"envFrom"`
	VolumeMounts  []corev1.VolumeMount   `json:"volumeMounts"`
	// VolumeDevices are only counted.
	VolumeDevices []jsontext.Value `json:"volumeDevices"`
}

// IsSidecar tells whether a container of the pod's init containers is a native sidecar.
func (c *Container) IsSidecar() bool {
	return c.RestartPolicy == string(corev1.ContainerRestartPolicyAlways)
}

// EnvVar is a corev1.EnvVar. Its source is decoded only where it has to be
// compared.
type EnvVar struct {
	Name      string         `json:"name"`
	Value     string         `json:"value"`
	ValueFrom jsontext.Value `json:"valueFrom"`
}

// IsMirror tells whether kubelet created the pod to show a static one. Its
// containers run already, so that no Injection can reach them.
func (p *Pod) IsMirror() bool {
	_, is := p.Annotations[corev1.MirrorPodAnnotationKey]

	return is
}

// Decode reads a pod. Names of fields are case-sensitive, as they are for the
// API server, and none may be there twice. The Pod refers to b, which must not
// change after. An error holds no value of an env var.
func Decode(b []byte) (*Pod, error) {
	return DecodeNext(jsontext.NewDecoder(bytes.NewBuffer(b)), b)
}

// DecodeNext reads the pod that is next for a decoder of a larger text, such as
// a review, so that the whole of it is read once. Else it is Decode.
func DecodeNext(d *jsontext.Decoder, text []byte) (*Pod, error) {
	var wire struct {
		Metadata *struct {
			Name            string                  `json:"name"`
			GenerateName    string                  `json:"generateName"`
			Labels          map[string]string       `json:"labels"`
			Annotations     map[string]string       `json:"annotations"`
			OwnerReferences []metav1.OwnerReference `json:"ownerReferences"`
		} `json:"metadata"`
		Spec *Spec `json:"spec"`
	}

	start := d.InputOffset()
	if err := json.UnmarshalDecode(d, &wire); err != nil {
		return nil, fmt.Errorf("cannot decode the pod: %w", withoutValue(err))
	}

	if wire.Metadata == nil || wire.Spec == nil {
		return nil, errors.New("cannot decode the pod: it has no metadata or no spec")
	}

	p := &Pod{
		Name:         wire.Metadata.Name,
		GenerateName: wire.Metadata.GenerateName,
		Labels:       wire.Metadata.Labels,
		Annotations:  wire.Metadata.Annotations,
		Spec:         *wire.Spec,
		JSON:         bytes.TrimLeft(text[start:d.InputOffset()], ": \t\r\n"), // these stand between a name and its value
	}

	for i, o := range wire.Metadata.OwnerReferences {
		if o.Controller != nil && *o.Controller {
			p.Controller = &wire.Metadata.OwnerReferences[i]
		}
	}

	return p, nil
}

// withoutValue takes the value that could not be decoded out of an error.
func withoutValue(err error) error {
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		e.JSONValue = nil // it would be in the error's text
	}

	return err
}
