package patches

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// Withdrawn returns the Injection as one that the pods of some owners start
// without: those of the withdrawals of its revision, in their phases Trial and
// Withdrawn. With none it is one that every pod gets. An Injection that says
// onFailure: Deny is never withdrawn.
func (in *Injection) Withdrawn(from []v1alpha1.Withdrawal) *Injection {
	var w *withdrawals
	if !in.Deny {
		w = newWithdrawals(from, in.revision)
	}

	if w == nil && in.withdrawn == nil {
		return in
	}

	next := *in
	next.withdrawn = w

	return &next
}

// Judged returns the Injection as its status has it: the API server may refuse it,
// and the pods of some owners start without it.
func (in *Injection) Judged(status *v1alpha1.InjectionStatus) *Injection {
	return in.Refused(status.Refusal(in.revision)).Withdrawn(status.Withdrawn)
}

// WithdrawnFor returns the withdrawal in force for the pods of a controller, or
// nil. The controller is nil for a bare pod.
func (in *Injection) WithdrawnFor(controller *metav1.OwnerReference, namespace string) *v1alpha1.Withdrawal {
	if in.withdrawn == nil {
		return nil
	}

	return in.withdrawn.of(controller, namespace)
}

// withdrawnFor returns the withdrawal in force for a pod, or nil.
func (in *Injection) withdrawnFor(p *Pod, namespace string) *v1alpha1.Withdrawal {
	w := in.WithdrawnFor(p.Controller, namespace)
	if w == nil || w.Template != "" && w.Template != TemplateOf(w.Kind, p.Labels) {
		return nil
	}

	return w
}
