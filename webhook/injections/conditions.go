package injections

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// The reasons of conditions.
const (
	reasonInForce   = "InForce"
	reasonInvalid   = "InjectionInvalid"
	reasonForbidden = "InjectionForbidden"
	reasonStopped   = "Stopped"
	reasonSpreading = "Spreading"
	reasonPreview   = "Preview"
	reasonPaused    = "Paused"
	reasonLoading   = "Loading"
	reasonNoAudit   = "AuditDisabled"
)

// obstacle keeps an Injection that is fit for use from being in force. The zero
// value is none.
type obstacle struct{ reason, text string }

// statusWith returns the status of a compiled Injection, with the API server's
// answer about it. It keeps the parts that are right already, such as the times of
// transitions.
//
// The conditions follow kstatus: Stalled is there only where an edit is needed. If
// there is an obstacle, the Injection is not Ready, and it is Stalled only for a
// reason of its own.
func statusWith(
	ctx context.Context, status *v1alpha1.InjectionStatus, compiled *patches.Injection, check *v1alpha1.ServerCheck, ns patches.Namespace,
	against obstacle,
) v1alpha1.InjectionStatus {
	next := *status.DeepCopy()
	if next.ObservedGeneration != compiled.Generation {
		next.Since = nil
	}

	next.ObservedGeneration, next.Revision, next.ServerCheck = compiled.Generation, compiled.Revision(), check

	ready := readiness(ctx, compiled.Refused(next.Refusal(next.Revision)), ns)
	ready.ObservedGeneration = compiled.Generation

	if ready.Status == metav1.ConditionFalse {
		stalled := ready
		stalled.Type, stalled.Status = v1alpha1.StalledCondition, metav1.ConditionTrue
		meta.SetStatusCondition(&next.Conditions, stalled)
	} else {
		meta.RemoveStatusCondition(&next.Conditions, v1alpha1.StalledCondition)
	}

	if against.reason == reasonStopped || against.reason != "" && ready.Status == metav1.ConditionTrue {
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, against.reason, against.text
	}

	meta.SetStatusCondition(&next.Conditions, ready)

	return next
}

// readiness is the condition Ready of an Injection, or of a ClusterInjection with
// the zero Namespace.
func readiness(ctx context.Context, compiled *patches.Injection, ns patches.Namespace) metav1.Condition {
	c := metav1.Condition{
		Type: v1alpha1.ReadyCondition, Status: metav1.ConditionTrue, Reason: reasonInForce,
		Message: "Pods that are created from now on get it.",
	}

	switch err, impossible := compiled.Err(), patches.Impossible(ctx, compiled, ns); {
	case err != nil:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, reasonInvalid, err.Error()
	case impossible != "":
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, reasonForbidden, "No pod of the namespace can take it: "+impossible
	default:
		if name := patches.Burstable(compiled); name != "" {
			c.Message += fmt.Sprintf(" Guaranteed pods become Burstable: init container %q needs limits for cpu and memory, and equal requests.", name)
		}
	}

	return c
}

// ours are the conditions that we write: others may have some of their own.
func ours(conditions []metav1.Condition) []metav1.Condition {
	return slices.DeleteFunc(slices.Clone(conditions), func(c metav1.Condition) bool {
		return !slices.Contains([]string{v1alpha1.ReadyCondition, v1alpha1.StalledCondition, v1alpha1.WithdrawnCondition, v1alpha1.AuditedCondition}, c.Type)
	})
}
