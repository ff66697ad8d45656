package v1alpha1

import corev1 "k8s.io/api/core/v1"

// EnvVar is an environment variable to add to containers: a corev1.EnvVar, and how
// to join it with one of its name that is there.
type EnvVar struct {
	// Name of the environment variable: letters, digits, -, _ and ., not beginning
	// with a digit.
	Name string `json:"name"`

	// The value. $(OTHER) stands for a variable that the container has before this
	// one; $$(OTHER) is the text $(OTHER). It can't refer to itself: use join for
	// that. Default: "".
	//
	// +optional
	Value string `json:"value,omitempty"`

	// Where the value comes from, instead of value.
	//
	// +optional
	ValueFrom *corev1.EnvVarSource `json:"valueFrom,omitempty"`

	// Joins the value with the one that a container has already, instead of a
	// conflict: {separator: ","} makes "own,value" of "own". A container without the
	// variable gets the value alone. A value that is there already is not added
	// again. A variable that a container takes from valueFrom can't be joined:
	// onConflict decides. Default: no join.
	//
	// +optional
	Join *Join `json:"join,omitempty"`
}

// Join says how a value is joined with the one that is there.
type Join struct {
	// Stands between two values: "," for NO_PROXY, " " for JAVA_TOOL_OPTIONS. All
	// Injections that join a variable need the same.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16
	Separator string `json:"separator"`

	// Put the value before the one that is there. Default: false, the container's
	// own comes first.
	//
	// +optional
	First bool `json:"first,omitempty"`

	// Take the value for a list, and add only those of its elements that are not
	// there. Default: false, all of it or nothing.
	//
	// +optional
	Unique bool `json:"unique,omitempty"`
}

// Core returns the variable as pods have it, without the join.
func (e EnvVar) Core() corev1.EnvVar {
	return corev1.EnvVar{Name: e.Name, Value: e.Value, ValueFrom: e.ValueFrom}
}

// CoreEnv returns variables as pods have them.
func CoreEnv(env []EnvVar) (core []corev1.EnvVar) {
	for _, e := range env {
		core = append(core, e.Core())
	}

	return core
}

// EnvOf returns variables of a pod as an Injection declares them.
func EnvOf(core []corev1.EnvVar) (env []EnvVar) {
	for _, e := range core {
		env = append(env, EnvVar{Name: e.Name, Value: e.Value, ValueFrom: e.ValueFrom})
	}

	return env
}
