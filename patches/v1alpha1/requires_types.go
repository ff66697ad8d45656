package v1alpha1

// Requirement names an object that pods need for an Injection.
type Requirement struct {
	// ConfigMap or Secret: one object. References: each ConfigMap and Secret that env,
	// envFrom, initContainers and volumes (configMap, secret and projected ones) of this
	// Injection name without optional: true, with the keys that they name.
	Kind RequirementKind `json:"kind"`

	// Name of the ConfigMap or Secret. References has none.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// Keys that the ConfigMap or Secret must have. Default: none in particular.
	// References has none.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$')",message="a key of a ConfigMap or Secret has only letters, digits, -, _ and ."
	Keys []string `json:"keys,omitempty"`
}

// RequirementKind is ConfigMap, Secret or References.
//
// +kubebuilder:validation:Enum=ConfigMap;Secret;References
type RequirementKind string

// The kinds of requirements.
const (
	RequiredConfigMap  RequirementKind = "ConfigMap"
	RequiredSecret     RequirementKind = "Secret"
	RequiredReferences RequirementKind = "References"
)
