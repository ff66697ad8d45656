package pods

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/internal/oneline"
	"github.com/telltale-dev/telltale/patches"
)

const (
	// maxMounts is how many pods that wait for volumes are known at the same time.
	maxMounts = 5000
	// maxMessages is how many messages of events are kept for a pod, and maxMessage how
	// many bytes of each. Kubelet has one for each volume.
	maxMessages, maxMessage = 16, 512
)

// mount is a pod with volumes of an Injection that are not mounted yet. Its status
// does not say why: only kubelet's events FailedMount do. The pod itself is not kept:
// thousands may wait for volumes.
type mount struct {
	namespace string
	since     time.Time
	next      time.Time // to read events
	messages  []string  // of events
}

// mounts are those of all pods with one, by uid.
type mounts struct {
	*Audit

	book    *book
	changes *changes
	all     map[types.UID]*mount
	next    time.Time // no look at events before
}

// symptoms tells which Injections on a pod keep it from starting, as far as that is
// known without a look at events.
func (ms *mounts) symptoms(pod *corev1.Pod, p *patches.Pod, all []verdict) map[types.NamespacedName]symptom {
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
		delete(ms.all, pod.UID)

		return symptoms(pod, p, on)
	}

	m := ms.all[pod.UID]

	switch {
	case m == nil && len(ms.all) >= maxMounts:
		return nil
	case m == nil:
		now := time.Now()
		m = &mount{namespace: pod.Namespace, since: now, next: now.Add(ms.o.StuckAfter)}
		ms.all[pod.UID] = m
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

// read reads the events of pods with volumes that are not mounted for long: all of a
// namespace at a time, and ever less often. If they say something else than before, the
// pods are looked at again.
func (ms *mounts) read(ctx context.Context, now time.Time) (err error) {
	if now.Before(ms.next) {
		return nil
	}

	due := map[string]bool{}

	for uid, m := range ms.all {
		switch {
		case ms.book.get(uid) == nil:
			delete(ms.all, uid)
		case !now.Before(m.next):
			due[m.namespace] = true
		}
	}

	for namespace := range due {
		err = errors.Join(err, ms.readIn(ctx, namespace, now))
	}

	ms.next = now.Add(pauses * time.Since(now))

	return err
}

func (ms *mounts) readIn(ctx context.Context, namespace string, now time.Time) error {
	heard := map[types.UID][]string{}

	err := ms.eachEvent(ctx, laterRead, namespace, "reason=FailedMount", func(e *corev1.Event) {
		uid := e.InvolvedObject.UID
		if m := ms.all[uid]; m == nil || m.namespace != namespace || len(heard[uid]) == maxMessages {
			return
		}

		if message := oneline.Cut(e.Message, maxMessage); isCause(message) {
			heard[uid] = append(heard[uid], strings.Clone(message)) // not the whole event
		}
	})

	for uid, m := range ms.all {
		if m.namespace != namespace || now.Before(m.next) {
			continue
		}

		m.next = now.Add(max(ms.o.StuckAfter, now.Sub(m.since)))

		if err == nil && !slices.Equal(m.messages, heard[uid]) {
			m.messages = heard[uid]
			ms.changes.lookAgain(namespace)
		}
	}

	return err
}

// isCause tells whether a message says which object a volume lacks.
func isCause(message string) bool {
	_, ok := missing(message)

	return ofVolume.MatchString(message) && (ok || noItem.MatchString(message))
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
