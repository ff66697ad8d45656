package v1alpha1

// Placement says where additions go, seen from what the pod already has.
//
// +kubebuilder:validation:Enum=First;Last
type Placement string

// The placements. First is the default, so that what the pod has can refer to
// what was added.
const (
	First Placement = "First"
	Last  Placement = "Last"
)

// ConflictPolicy says what to do where the pod, or an earlier Injection, has
// something of the same name with a different value.
//
// +kubebuilder:validation:Enum=Skip;KeepPod;Override
type ConflictPolicy string

// The conflict policies. Skip is the default.
const (
	Skip     ConflictPolicy = "Skip"
	KeepPod  ConflictPolicy = "KeepPod"
	Override ConflictPolicy = "Override"
)

// Mode says whether an Injection changes pods.
//
// +kubebuilder:validation:Enum=Active;Preview;Paused
type Mode string

// The modes. Active is the default.
const (
	Active  Mode = "Active"
	Preview Mode = "Preview"
	Paused  Mode = "Paused"
)

// FailurePolicy says what becomes of a pod that an Injection could not be
// applied to.
//
// +kubebuilder:validation:Enum=Admit;Deny
type FailurePolicy string

// The failure policies. Admit is the default.
const (
	Admit FailurePolicy = "Admit"
	Deny  FailurePolicy = "Deny"
)
