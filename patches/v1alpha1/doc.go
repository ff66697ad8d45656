// Package v1alpha1 is the API that users write: Injection and its
// cluster-scoped twin ClusterInjection, in the group telltale.dev.
//
// The comments of the fields are the manual that `kubectl explain injection`
// prints; the markers are what the API server checks when one is applied.
//
// +kubebuilder:object:generate=true
// +groupName=telltale.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of the API.
var GroupVersion = schema.GroupVersion{Group: "telltale.dev", Version: "v1alpha1"}

// AddToScheme adds the API's types to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &Injection{}, &InjectionList{}, &ClusterInjection{}, &ClusterInjectionList{})
	metav1.AddToGroupVersion(s, GroupVersion)

	return nil
}
