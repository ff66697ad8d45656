package patches

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// withdrawals are those of one Injection, by owner.
type withdrawals struct {
	byUID  map[types.UID]*v1alpha1.Withdrawal
	byName map[objectKey]*v1alpha1.Withdrawal // CronJobs, and whole namespaces under the empty name
}

type objectKey struct{ namespace, name string }

func newWithdrawals(from []v1alpha1.Withdrawal, revision string) *withdrawals {
	w := withdrawals{byUID: map[types.UID]*v1alpha1.Withdrawal{}, byName: map[objectKey]*v1alpha1.Withdrawal{}}

	for _, one := range from {
		switch {
		case one.Revision != revision || one.Phase == v1alpha1.RetryPhase:
		case one.UID != "" && one.Kind != cronJob:
			w.byUID[one.UID] = &one
		default:
			w.byName[objectKey{one.Namespace, one.Name}] = &one
		}
	}

	if len(w.byUID)+len(w.byName) == 0 {
		return nil
	}

	return &w
}

func (w *withdrawals) of(controller *metav1.OwnerReference, namespace string) *v1alpha1.Withdrawal {
	if c := controller; c != nil {
		if one := w.byUID[c.UID]; one != nil {
			return one
		}

		if c.Kind == "Job" {
			if one := w.byName[objectKey{namespace, CronJobOf(c.Name)}]; one != nil {
				return one
			}
		}
	}

	if one := w.byName[objectKey{namespace: namespace}]; one != nil {
		return one
	}

	return w.byName[objectKey{}]
}

// TemplateOf returns the name of the template that a StatefulSet's or DaemonSet's
// pod was made from, by its labels. The template of other kinds never changes.
//
// Source: k8s.io/kubernetes v1.37.2, pkg/controller/daemon/util/daemonset_util.go
// and pkg/controller/statefulset/stateful_set_utils.go.
func TemplateOf(kind string, podLabels map[string]string) string {
	switch kind {
	case "StatefulSet":
		return podLabels["controller-revision-hash"]
	case "DaemonSet":
		return podLabels["pod-template-generation"]
	default:
		return ""
	}
}

// refusedText is what a pod's failure says of a withdrawal.
func refusedText(w *v1alpha1.Withdrawal) string {
	cure := " Correct that or the Injection, then restart the pods"
	if w.Until != nil {
		cure += "; it is tried again after " + w.Until.UTC().Format("2006-01-02 15:04 UTC")
	}

	return "pods with it " + w.Fate() + ": " + strings.TrimRight(w.Text, ".") + "." + cure + "."
}
