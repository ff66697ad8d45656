package webhook

import (
	"strconv"
	"strings"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// warnings name the init containers that Injections add to a pod that has no
// second try. If something refuses the pod for one of them, the pod's creator
// sees the warning beside the refusal. A pod that is created has them as well: the
// judgement comes after our answer.
func (r *Review) warnings(injected []*patches.Injection) (all []string) {
	if r.hasSecondTry() {
		return nil
	}

	for _, in := range injected {
		var names []string

		for _, name := range in.InitContainers() {
			if !r.hasInitContainer(name) {
				names = append(names, strconv.Quote(name))
			}
		}

		if len(names) > 0 {
			what := " adds init container "
			if len(names) > 1 {
				what = " adds init containers "
			}

			title := failure.Injection{Cluster: in.Cluster(), Name: in.Name}.Title()
			all = append(all, title+what+strings.Join(names, ", "))
		}
	}

	return all
}

// hasSecondTry tells whether the pod's controller says by an event if it could
// not create a pod, and then tries again: package audit looks for these. Others
// (Argo Workflows, Spark) may give up as people do.
func (r *Review) hasSecondTry() bool {
	c := r.Pod.Controller
	if c == nil {
		return false
	}

	switch c.APIVersion + " " + c.Kind {
	case "apps/v1 ReplicaSet", "apps/v1 StatefulSet", "apps/v1 DaemonSet", "batch/v1 Job":
		return true
	default:
		return false
	}
}

func (r *Review) hasInitContainer(name string) bool {
	for i := range r.Pod.Spec.InitContainers {
		if r.Pod.Spec.InitContainers[i].Name == name {
			return true
		}
	}

	return false
}
