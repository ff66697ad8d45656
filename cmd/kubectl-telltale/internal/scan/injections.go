package scan

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// Injection is an Injection or a ClusterInjection.
type Injection struct {
	client.Object

	Kind   string
	Deny   bool
	Status *v1alpha1.InjectionStatus
}

// InjectionOf returns an object as an Injection.
func InjectionOf(o client.Object) Injection {
	if c, ok := o.(*v1alpha1.ClusterInjection); ok {
		return Injection{c, "ClusterInjection", c.Spec.OnFailure == v1alpha1.Deny, &c.Status}
	}

	in, _ := o.(*v1alpha1.Injection) // there are two kinds

	return Injection{in, "Injection", in.Spec.OnFailure == v1alpha1.Deny, &in.Status}
}

// Injections reads the Injections that pods of the Scan's namespaces can have, and
// all ClusterInjections.
func (s *Scan) Injections(ctx context.Context) (all []Injection, err error) {
	err = Each(ctx, s, "injections", &v1alpha1.InjectionList{}, func(in *v1alpha1.Injection) { all = append(all, InjectionOf(in)) })
	if err != nil {
		return nil, err
	}

	err = Each(ctx, s, "clusterinjections", &v1alpha1.ClusterInjectionList{},
		func(in *v1alpha1.ClusterInjection) { all = append(all, InjectionOf(in)) }, client.InNamespace(""))

	return all, err
}
