package patches

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/telltale-dev/telltale/patches/internal/edit"
)

// Excluding returns the requirements of a controller's selector that a label can
// break if it is added to a pod: those that a label is not there, or has none of
// some values. Most selectors have none.
func Excluding(selector *metav1.LabelSelector) (excluding labels.Requirements) {
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil // the API server takes no such controller
	}

	all, _ := s.Requirements()
	for _, r := range all {
		if r.Operator() == selection.DoesNotExist || r.Operator() == selection.NotIn {
			excluding = append(excluding, r)
		}
	}

	return excluding
}

// excluded says in a sentence which label of a plan the selector of the pod's
// controller excludes, as far as that is known; else it is empty. Such a pod would
// have no owner, and the controller would create another, for ever.
func excluded(d *draft, p *plan) string {
	if len(d.pod.Excluding) == 0 || d.pod.Controller == nil {
		return ""
	}

	for _, c := range p.changes {
		value, ok := c.item.Value.(string)
		if d.edits.Lists[c.list].Kind == edit.Label && ok && isExcluded(d.pod.Excluding, c.item.Key, value) {
			owner := d.pod.Controller.Kind + " " + d.pod.Controller.Name

			return fmt.Sprintf("its label %q is excluded by the selector of %s: the pod would not belong to it. Change the label in "+
				"the Injection, or the selector. A pod that got the label before has no owner: delete it.", c.item.Key, owner)
		}
	}

	return ""
}

func isExcluded(by labels.Requirements, key, value string) bool {
	for i := range by {
		if by[i].Key() == key && !by[i].Matches(labels.Set{key: value}) {
			return true
		}
	}

	return false
}
