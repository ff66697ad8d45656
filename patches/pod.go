package patches

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json" // encoding/json/v2 of Go 1.27
	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Pod is the part of a pod that Injections can meet, decoded from the JSON the
// API server sent. It is read-only.
type Pod struct {
	// Name is empty for most pods of a controller: the API server makes it up
	// from GenerateName only after admission.
	Name, GenerateName  string
	Labels, Annotations map[string]string
	// Controller is the owner reference with controller: true, or nil.
	Controller *metav1.OwnerReference

	spec podSpec
	raw  []byte
}

type podSpec struct {
	Volumes             []named     `json:"volumes"`
	InitContainers      []container `json:"initContainers"`
	Containers          []container `json:"containers"`
	EphemeralContainers []named     `json:"ephemeralContainers"`
	ImagePullSecrets    []named     `json:"imagePullSecrets"`

	// These are asked only whether they are there.
	OS          jsontext.Value `json:"os"`
	Resources   jsontext.Value `json:"resources"`
	HostNetwork bool           `json:"hostNetwork"`
}

type named struct {
	Name string `json:"name"`
}

type container struct {
	Name         string                 `json:"name"`
	Env          []envVar               `json:"env"`
	EnvFrom      []corev1.EnvFromSource `json:"envFrom"`
	VolumeMounts []corev1.VolumeMount   `json:"volumeMounts"`
	// VolumeDevices are only counted.
	VolumeDevices []jsontext.Value `json:"volumeDevices"`
}

// envVar is a corev1.EnvVar whose source is decoded only where it has to be
// compared.
type envVar struct {
	Name      string         `json:"name"`
	Value     string         `json:"value"`
	ValueFrom jsontext.Value `json:"valueFrom"`
}

// Decode reads a pod. Names of fields are case-sensitive, as they are for the
// API server, and none may be there twice. The Pod refers to raw, which must not
// change after. An error holds no value of an env var.
func Decode(raw []byte) (*Pod, error) {
	return DecodeNext(jsontext.NewDecoder(bytes.NewBuffer(raw)), raw)
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
		Spec *podSpec `json:"spec"`
	}

	start := d.InputOffset()
	if err := json.UnmarshalDecode(d, &wire); err != nil {
		if e, ok := errors.AsType[*json.SemanticError](err); ok {
			e.JSONValue = nil // it would be in the error's text
		}

		return nil, fmt.Errorf("cannot decode the pod: %w", err)
	}

	if wire.Metadata == nil || wire.Spec == nil {
		return nil, errors.New("cannot decode the pod: it has no metadata or no spec")
	}

	p := &Pod{
		Name:         wire.Metadata.Name,
		GenerateName: wire.Metadata.GenerateName,
		Labels:       wire.Metadata.Labels,
		Annotations:  wire.Metadata.Annotations,
		spec:         *wire.Spec,
		raw:          bytes.TrimLeft(text[start:d.InputOffset()], ": \t\r\n"), // what is between a name and its value
	}

	for i, o := range wire.Metadata.OwnerReferences {
		if o.Controller != nil && *o.Controller {
			p.Controller = &wire.Metadata.OwnerReferences[i]
		}
	}

	return p, nil
}

// elements returns the volumes and the init containers as they stand in the
// raw JSON. It is for the rare pod that has one of an Injection's name already.
func (p *Pod) elements() (volumes, initContainers []jsontext.Value) {
	var wire struct {
		Spec struct {
			Volumes        []jsontext.Value `json:"volumes"`
			InitContainers []jsontext.Value `json:"initContainers"`
		} `json:"spec"`
	}

	// The same bytes were decoded before: what fails here failed there.
	_ = json.Unmarshal(p.raw, &wire)

	return wire.Spec.Volumes, wire.Spec.InitContainers
}
