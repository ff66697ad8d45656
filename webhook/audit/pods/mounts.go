package pods

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/internal/oneline"
	"github.com/telltale-dev/telltale/patches"
)

// maxMessages is how many messages of events are kept for a pod, and maxMessage how
// many bytes of each. Kubelet has one for each volume.
const maxMessages, maxMessage = 16, 512

// mount is a pod with volumes of an Injection that are not mounted yet. Its status
// does not say why: only kubelet's events FailedMount do. The pod itself is not kept:
// thousands may wait for volumes.
type mount struct {
	namespace string
	since     time.Time
	next      time.Time // to read events
	messages  []string  // of events
}

// symptoms tells which Injections on a pod keep it from starting, as far as that is
// known without a look at events.
func (t *term) symptoms(pod *corev1.Pod, p *patches.Pod, all []verdict) map[types.NamespacedName]symptom {
	var on []*patches.Injection

	for _, v := range all {
		if v.revision != "" {
			on = append(on, v.injection)
		}
	}

	if len(on) == 0 {
		return nil
	}

	if !isUnmounted(pod) || !slices.ContainsFunc(on, patches.NeedsVolumes) {
		delete(t.mounts, pod.UID)

		return symptoms(pod, p, on)
	}

	m := t.mounts[pod.UID]
	if m == nil {
		now := time.Now()
		m = &mount{namespace: pod.Namespace, since: now, next: now.Add(t.o.StuckAfter)}
		t.mounts[pod.UID] = m
	}

	return m.symptoms(pod, p, on)
}

// symptoms tells which Injections keep the volumes of a pod from being mounted.
func (m *mount) symptoms(pod *corev1.Pod, p *patches.Pod, on []*patches.Injection) map[types.NamespacedName]symptom {
	if len(m.messages) == 0 {
		return nil
	}

	found, blame := map[types.NamespacedName]symptom{}, patches.NewBlame(p, pod, on)

	for _, message := range m.messages {
		by, what := unmounted(message, blame)
		for _, in := range by {
			found[nameOf(in)] = symptom{what: what, cure: createIt}
		}
	}

	return found
}

// isUnmounted tells whether a pod is on a node, and waits for its volumes or its
// sandbox: none of its containers was tried.
func isUnmounted(pod *corev1.Pod) bool {
	if pod.Spec.NodeName == "" || pod.Status.Phase != corev1.PodPending || pod.DeletionTimestamp != nil {
		return false
	}

	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReadyToStartContainers && c.Status == corev1.ConditionTrue {
			return false
		}
	}

	for _, all := range [...][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range all {
			if all[i].State.Waiting == nil || fault(&all[i].State) != "" {
				return false
			}
		}
	}

	return true
}

// readMounts reads the events of pods whose volumes are not mounted for long: all of
// a namespace at a time, and ever less often. If they say something new, the pods are
// looked at again.
func (t *term) readMounts(ctx context.Context, now time.Time) error {
	namespaces := map[string]bool{}

	for uid, m := range t.mounts {
		switch {
		case t.book.get(uid) == nil:
			delete(t.mounts, uid)
		case !now.Before(m.next):
			namespaces[m.namespace] = true
			m.next = now.Add(now.Sub(m.since))
		}
	}

	for namespace := range namespaces {
		err := eachListed(ctx, metav1.ListOptions{FieldSelector: "reason=FailedMount"}, t.lists.Events(namespace).List, func(one runtime.Object) {
			e := one.(*corev1.Event)
			if m := t.mounts[e.InvolvedObject.UID]; m != nil && m.namespace == namespace && m.hears(e.Message) {
				t.lookAgain(namespace)
			}
		})
		if err != nil {
			return fmt.Errorf("cannot list the events of volumes that are not mounted: %w", err)
		}
	}

	return nil
}

// hears keeps the message of an event. It returns true if it is a new one, and there is
// room.
func (m *mount) hears(message string) bool {
	message = strings.Clone(oneline.Cut(message, maxMessage))
	if len(m.messages) == maxMessages || slices.Contains(m.messages, message) || !ofVolume.MatchString(message) {
		return false
	}

	m.messages = append(m.messages, message)

	return true
}

// The words of kubelet for a volume, and for a key that its object lacks.
//
// Sources: k8s.io/kubernetes v1.37.2,
// pkg/volume/util/operationexecutor/operation_executor.go (generateVolumeMsg),
// pkg/volume/secret/secret.go and pkg/volume/configmap/configmap.go (MakePayload).
var (
	ofVolume = regexp.MustCompile(`^MountVolume\.SetUp failed for volume "([^"]+)"`)
	noItem   = regexp.MustCompile(`references non-existent (secret|config) key: ([^\s,\]]+)`)
)

// unmounted tells which Injections keep a volume from being mounted, by the message of
// an event, and how.
func unmounted(message string, blame *patches.Blame) (by []*patches.Injection, what string) {
	volume := ofVolume.FindStringSubmatch(message)
	if volume == nil {
		return nil, ""
	}

	by, what = blame.OfVolume(volume[1]), fmt.Sprintf("volume %q can't be mounted: ", volume[1])

	if item := noItem.FindStringSubmatch(message); item != nil {
		kind := map[string]string{"secret": "Secret", "config": "ConfigMap"}[item[1]]

		return by, fmt.Sprintf("%sits %s lacks the key %q", what, kind, item[2])
	}

	o, ok := missing(message)
	if !ok {
		return nil, ""
	}

	return slices.DeleteFunc(blame.OfObject(o), func(in *patches.Injection) bool { return !slices.Contains(by, in) }), what + lack(o)
}
