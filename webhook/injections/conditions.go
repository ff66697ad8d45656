package injections

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// The reasons of conditions.
const (
	reasonInForce = "InForce"
	reasonInvalid = "InjectionInvalid"
)

// statusWith is the status of an Injection that came to a compiled one, of which
// the API server said what is in check. It keeps what is right already, the
// times of transitions among it.
//
// The conditions follow kstatus: Stalled is there only where an edit is needed.
func statusWith(
	status *v1alpha1.InjectionStatus, compiled *patches.Injection, check *v1alpha1.ServerCheck,
) v1alpha1.InjectionStatus {
	next := *status.DeepCopy()
	next.ObservedGeneration, next.Revision, next.ServerCheck = compiled.Generation, compiled.Revision(), check

	ready := metav1.Condition{
		Type: v1alpha1.ReadyCondition, Status: metav1.ConditionTrue, Reason: reasonInForce,
		Message: "Pods that are created from now on get it.", ObservedGeneration: compiled.Generation,
	}

	if err := compiled.Refused(refusal(&next, next.Revision)).Err(); err != nil {
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, reasonInvalid, err.Error()
		stalled := ready
		stalled.Type, stalled.Status = v1alpha1.StalledCondition, metav1.ConditionTrue
		meta.SetStatusCondition(&next.Conditions, stalled)
	} else {
		meta.RemoveStatusCondition(&next.Conditions, v1alpha1.StalledCondition)
	}

	meta.SetStatusCondition(&next.Conditions, ready)

	return next
}

// ours are the conditions that we write: others may have some of their own.
func ours(conditions []metav1.Condition) []metav1.Condition {
	return slices.DeleteFunc(slices.Clone(conditions), func(c metav1.Condition) bool {
		return c.Type != v1alpha1.ReadyCondition && c.Type != v1alpha1.StalledCondition
	})
}
