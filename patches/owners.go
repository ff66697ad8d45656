package patches

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// controller is one that a pod belongs to: by its reference, or by a name.
type controller struct{ kind, name string }

func (c controller) String() string { return c.kind + " " + c.name }

// controllersOf are the controller of a pod and the one above it, as far as names and
// labels tell. They are none for a bare pod. There is no look-up.
func controllersOf(t Traits) []controller {
	if t.Controller == nil {
		return nil
	}

	all := []controller{{t.Controller.Kind, t.Controller.Name}}
	if above, ok := above(t.Controller, t.Labels); ok {
		all = append(all, above)
	}

	return all
}

// hashes are labels of the pods of a ReplicaSet whose values end its name, after the
// name of the controller of this kind.
//
// Source: getNewReplicaSet and generateReplicaSetName, k8s.io/kubernetes v1.37.2
// pkg/controller/deployment/sync.go; createNewReplicaSet and
// DefaultRolloutUniqueLabelKey, argoproj/argo-rollouts 009ba6b rollout/sync.go and
// pkg/apis/rollouts/v1alpha1/types.go.
var hashes = [...]struct{ label, kind string }{ //nolint:gochecknoglobals // a constant
	{"pod-template-hash", "Deployment"},
	{"rollouts-pod-template-hash", "Rollout"},
}

const cronJob = "CronJob"

// minutes is how many digits the time in the name of a CronJob's Job has, from 1989 to
// 2160.
const minutes = 8

// CronJobOf returns the CronJob that a Job of this name may be of, or "". A CronJob
// names its Jobs after itself and the scheduled minute, counted from 1970.
//
// Source: getJobName and getTimeHashInMinutes, k8s.io/kubernetes v1.37.2
// pkg/controller/cronjob.
func CronJobOf(job string) string {
	at := len(job) - minutes
	if at < 2 || job[at-1] != '-' || strings.Trim(job[at:], "0123456789") != "" {
		return ""
	}

	return job[:at-1]
}

// above is the controller that a pod's controller is named after.
func above(by *metav1.OwnerReference, podLabels map[string]string) (controller, bool) {
	switch by.Kind {
	case "ReplicaSet":
		for _, h := range hashes {
			hash := podLabels[h.label]
			if name, ok := strings.CutSuffix(by.Name, "-"+hash); ok && hash != "" && name != "" {
				return controller{h.kind, name}, true
			}
		}
	case "Job":
		if name := CronJobOf(by.Name); name != "" {
			return controller{cronJob, name}, true
		}
	}

	return controller{}, false
}
