package patches

import (
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"
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
}

type named struct {
	Name string `json:"name"`
}

type container struct {
	Name         string                 `json:"name"`
	Env          []envVar               `json:"env"`
	EnvFrom      []corev1.EnvFromSource `json:"envFrom"`
	VolumeMounts []corev1.VolumeMount   `json:"volumeMounts"`
}

// envVar is a corev1.EnvVar whose source is decoded only where it has to be
// compared.
type envVar struct {
	Name      string          `json:"name"`
	Value     string          `json:"value"`
	ValueFrom json.RawMessage `json:"valueFrom"`
}

// Decode reads a pod. Names of fields are case-sensitive, as they are for the
// API server. The Pod refers to raw, which must not change after.
func Decode(raw []byte) (*Pod, error) {
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

	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &wire); err != nil {
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
		raw:          raw,
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
func (p *Pod) elements() (volumes, initContainers []json.RawMessage) {
	var wire struct {
		Spec struct {
			Volumes        []json.RawMessage `json:"volumes"`
			InitContainers []json.RawMessage `json:"initContainers"`
		} `json:"spec"`
	}

	// The same bytes were decoded before: what fails here failed there.
	_ = kjson.UnmarshalCaseSensitivePreserveInts(p.raw, &wire)

	return wire.Spec.Volumes, wire.Spec.InitContainers
}
