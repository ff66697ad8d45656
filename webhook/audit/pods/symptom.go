package pods

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches"
)

// symptom is how an Injection keeps a pod from starting.
type symptom struct {
	container string // the one that does not start; "" where a volume is not mounted
	isAdded   bool   // by the Injection
	what      string // in words: `init container "wait" can't start: ImagePullBackOff`
	cure      string
}

// symptoms tells which of the Injections on a pod keep it from starting. It reads the
// status that kubelet writes.
func symptoms(pod *corev1.Pod, p *patches.Pod, on []*patches.Injection) map[types.NamespacedName]symptom {
	if !isSuspect(pod) {
		return nil // nearly always
	}

	found, blame := map[types.NamespacedName]symptom{}, patches.NewBlame(p, pod, on)

	for _, c := range containers(pod) {
		by, s := c.symptom(blame)
		for _, in := range by {
			if _, ok := found[nameOf(in)]; !ok {
				found[nameOf(in)] = s
			}
		}
	}

	return found
}

// isSuspect tells whether a container of a pod does not start. A pod that is being
// deleted, or that was evicted, is none.
func isSuspect(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed && pod.Status.Reason != "" {
		return false
	}

	for _, all := range [...][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range all {
			if fault(&all[i].State) != "" {
				return true
			}
		}
	}

	return false
}

// fault says in a word why a container does not run; "" if it does, if it ended well,
// or if its turn has not come.
//
// Source: PodInitializing and ContainerCreating, k8s.io/kubernetes v1.37.2
// pkg/kubelet/kubelet_pods.go. All other reasons for waiting are errors.
func fault(s *corev1.ContainerState) string {
	switch w, t := s.Waiting, s.Terminated; {
	case w != nil && w.Reason != "PodInitializing" && w.Reason != "ContainerCreating":
		return w.Reason
	case t != nil && t.ExitCode != 0:
		return exit(t)
	default:
		return ""
	}
}

// exit is "exit code 137 (OOMKilled)".
func exit(t *corev1.ContainerStateTerminated) string {
	if t.Reason == "" || t.Reason == "Error" {
		return fmt.Sprintf("exit code %d", t.ExitCode)
	}

	return fmt.Sprintf("exit code %d (%s)", t.ExitCode, t.Reason)
}

// container is one of a pod, and its status.
type container struct {
	*corev1.ContainerStatus

	isInit, isSidecar bool
}

// containers are those that can keep a pod from starting. In a pod that has ended,
// sidecars were ended with it.
func containers(pod *corev1.Pod) (all []container) {
	sidecars := map[string]bool{}

	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			sidecars[c.Name] = true
		}
	}

	for i := range pod.Status.InitContainerStatuses {
		c := &pod.Status.InitContainerStatuses[i]
		if !sidecars[c.Name] || pod.Status.Phase != corev1.PodFailed {
			all = append(all, container{c, true, sidecars[c.Name]})
		}
	}

	for i := range pod.Status.ContainerStatuses {
		all = append(all, container{&pod.Status.ContainerStatuses[i], false, false})
	}

	return all
}

// title is `init container "wait"`.
func (c container) title() string {
	switch {
	case c.isSidecar:
		return fmt.Sprintf("sidecar %q", c.Name)
	case c.isInit:
		return fmt.Sprintf("init container %q", c.Name)
	default:
		return fmt.Sprintf("container %q", c.Name)
	}
}

// symptom tells which Injections keep a container from starting, and how.
func (c container) symptom(blame *patches.Blame) (by []*patches.Injection, s symptom) {
	why := fault(&c.State)
	if why == "" {
		return nil, s
	}

	if w := c.State.Waiting; w != nil {
		if o, ok := missing(w.Message); ok {
			return blame.OfObject(o), symptom{container: c.Name, what: c.title() + " can't start: " + lack(o), cure: createIt}
		}
	}

	if !c.isInit {
		return nil, s
	}

	s = symptom{container: c.Name, isAdded: true, what: c.title() + " can't start: " + why, cure: "kubectl describe pod says why."}

	switch {
	case c.State.Terminated != nil || why == "CrashLoopBackOff":
		if t := c.LastTerminationState.Terminated; c.State.Terminated == nil && t != nil {
			why += ", " + exit(t)
		}

		s.what, s.cure = c.title()+" fails: "+why, "Its log says why: kubectl logs --container "+c.Name+"."
	case strings.Contains(why, "Image"):
		s.cure = "Correct its image or imagePullSecrets in the Injection."
	}

	return blame.OfContainer(c.Name), s
}

// createIt is the cure where an object is missing.
const createIt = "Create it in the pod's namespace, or say optional: true in the Injection."

// lack is `Secret "token" is missing`.
func lack(o patches.Object) string {
	if o.Key != "" {
		return fmt.Sprintf("%s %q lacks the key %q", o.Kind, o.Name, o.Key)
	}

	return fmt.Sprintf("%s %q is missing", o.Kind, o.Name)
}

// The words of kubelet and the API server for an object that is missing, and for one
// of its keys.
//
// Sources: k8s.io/kubernetes v1.37.2, pkg/kubelet/kubelet_pods.go
// (makeEnvironmentVariables); k8s.io/apimachinery v0.37.2, pkg/api/errors/errors.go
// (NewNotFound).
var (
	noObject = regexp.MustCompile(`\b(secret|configmap)s? "([^"]+)" not found`)
	noKey    = regexp.MustCompile(`couldn't find key (\S+) in (Secret|ConfigMap) [^\s/]+/([^\s/]+)`)
)

// missing returns the object that a message of kubelet says is missing.
func missing(message string) (o patches.Object, ok bool) {
	if m := noObject.FindStringSubmatch(message); m != nil {
		return patches.Object{Kind: map[string]string{"secret": "Secret", "configmap": "ConfigMap"}[m[1]], Name: m[2]}, true
	}

	if m := noKey.FindStringSubmatch(message); m != nil {
		return patches.Object{Kind: m[2], Name: m[3], Key: m[1]}, true
	}

	return o, false
}

const (
	// A container that has failed once has recovered after steady, one that goes on
	// failing within longRun of each start after longRun.
	steady, longRun = 10 * time.Second, time.Minute
)

// recovers tells when a pod without the symptom has recovered from it, not before
// now. It is zero while that can't be told: the next try may be under way.
func (s symptom) recovers(pod *corev1.Pod, now time.Time) time.Time {
	if s.container == "" || pod.DeletionTimestamp != nil {
		return now
	}

	for _, c := range containers(pod) {
		switch run := c.State.Running; {
		case c.Name != s.container:
		case c.State.Waiting != nil && fault(&c.State) == "":
			return time.Time{}
		case run == nil || !s.isAdded:
			return now
		case c.isSidecar && (c.Started == nil || !*c.Started):
			return time.Time{}
		default:
			return latestOf(now, run.StartedAt.Add(c.proof()))
		}
	}

	return now
}

func latestOf(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}

	return a
}

// proof is how long a container must run to be taken as well.
func (c container) proof() time.Duration {
	last := c.LastTerminationState.Terminated

	switch {
	case last == nil || last.ExitCode == 0:
		return 0
	case c.RestartCount > 1 && last.FinishedAt.Sub(last.StartedAt.Time) < longRun:
		return longRun
	default:
		return steady
	}
}
