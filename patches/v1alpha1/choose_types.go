package v1alpha1

// OwnerSelector chooses pods by the controllers that they belong to.
type OwnerSelector struct {
	// Pods of these. Default: all pods, those without a controller, too.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Include []OwnerTerm `json:"include,omitempty"`

	// Not the pods of these, even if include has them.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Exclude []OwnerTerm `json:"exclude,omitempty"`
}

// OwnerTerm names controllers by their kind and name.
type OwnerTerm struct {
	// Kind of the controller: Deployment, StatefulSet, DaemonSet, Job, CronJob, or any
	// other kind that controls pods. A Deployment's pods are also those of its
	// ReplicaSet, and a CronJob's those of its Job.
	//
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Z][A-Za-z0-9]*$')",message="a kind is one word that begins with a capital letter, such as Deployment"
	Kind string `json:"kind"`

	// Name of the controller; "*" stands for any characters. Default: any name.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-.a-z0-9*]*$')",message="this is no name of a controller: use only a-z, 0-9, -, . and, for any characters, *"
	Name string `json:"name,omitempty"`
}

// ImageSelector chooses pods by the images of their app containers.
type ImageSelector struct {
	// Pods with one of these images in an app container; "*" stands for any
	// characters, / and : too. An image is compared as the pod states it: nginx is not
	// docker.io/library/nginx. Default: all pods.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[^ \\t\\n]+$')",message="an image has no spaces, and is not empty"
	Include []string `json:"include,omitempty"`

	// Not the pods with one of these images in an app container, even if include has
	// another image of the pod; "*" stands for any characters.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[^ \\t\\n]+$')",message="an image has no spaces, and is not empty"
	Exclude []string `json:"exclude,omitempty"`
}

// AnnotationSelector chooses pods by their annotations. It works as a label
// selector does, but values may be any text.
type AnnotationSelector struct {
	// The annotations that a pod must have, with these values.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.qualifiedName().validate(k.lowerAscii()).hasValue())",message="the key of an annotation must be a name such as team, or prefix/name such as example.com/team"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('telltale.dev/'))",message="annotations under telltale.dev/ are Telltale's own records: choose by another"
	MatchAnnotations map[string]string `json:"matchAnnotations,omitempty"`

	// Requirements that a pod must meet, all of them.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:XValidation:rule="(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",message="In and NotIn need values, Exists and DoesNotExist take none"
	MatchExpressions []AnnotationRequirement `json:"matchExpressions,omitempty"`
}

// AnnotationRequirement asks something of one annotation.
type AnnotationRequirement struct {
	// Key of the annotation.
	//
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule="!format.qualifiedName().validate(self.lowerAscii()).hasValue()",message="the key of an annotation must be a name such as team, or prefix/name such as example.com/team"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('telltale.dev/')",message="annotations under telltale.dev/ are Telltale's own records: choose by another"
	Key string `json:"key"`

	// In: the annotation has one of the values. NotIn: it has none of them, or is not
	// there. Exists: it is there. DoesNotExist: it is not.
	//
	// +kubebuilder:validation:Enum=In;NotIn;Exists;DoesNotExist
	Operator AnnotationOperator `json:"operator"`

	// The values of In and NotIn.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=1024
	Values []string `json:"values,omitempty"`
}

// AnnotationOperator is one of In, NotIn, Exists and DoesNotExist.
type AnnotationOperator string

// The operators on annotations.
const (
	AnnotationIn           AnnotationOperator = "In"
	AnnotationNotIn        AnnotationOperator = "NotIn"
	AnnotationExists       AnnotationOperator = "Exists"
	AnnotationDoesNotExist AnnotationOperator = "DoesNotExist"
)

// ConflictPolicies are the conflict policies of kinds of parts. One that is not set is
// that of onConflict.
type ConflictPolicies struct {
	// Of env vars.
	//
	// +optional
	Env ConflictPolicy `json:"env,omitempty"`

	// Of mounts, by their mount paths.
	//
	// +optional
	VolumeMounts ConflictPolicy `json:"volumeMounts,omitempty"`

	// Of init containers, by their names.
	//
	// +optional
	InitContainers ConflictPolicy `json:"initContainers,omitempty"`

	// Of labels.
	//
	// +optional
	Labels ConflictPolicy `json:"labels,omitempty"`

	// Of annotations.
	//
	// +optional
	Annotations ConflictPolicy `json:"annotations,omitempty"`
}

// Containers says which of a pod's containers get env, envFrom and
// volumeMounts.
type Containers struct {
	// Names of the containers; "*" in a name stands for any characters.
	// Default: all app containers.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[-a-z0-9*]+$')",message="this is no container name: use only a-z, 0-9, - and, for any characters, *"
	Include []string `json:"include,omitempty"`

	// Names of containers to leave alone, even if include names them; "*"
	// stands for any characters.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[-a-z0-9*]+$')",message="this is no container name: use only a-z, 0-9, - and, for any characters, *"
	Exclude []string `json:"exclude,omitempty"`

	// Also the pod's own init containers (not those that Injections add), native
	// sidecars among them. Default: false.
	//
	// +optional
	Init bool `json:"init,omitempty"`

	// Also the pod's own native sidecars: init containers with restartPolicy: Always
	// (not those that Injections add). Default: false.
	//
	// +optional
	Sidecars bool `json:"sidecars,omitempty"`
}
