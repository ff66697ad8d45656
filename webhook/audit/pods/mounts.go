package pods

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/telltale-dev/telltale/patches"
)

// mount is a pod with volumes of an Injection that are not mounted yet. Its status
// does not say why: only kubelet's event FailedMount does.
type mount struct {
	pod   *corev1.Pod
	as    *patches.Pod
	on    []*patches.Injection
	since time.Time
	next  time.Time // to read events
	found map[types.NamespacedName]symptom
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
		m = &mount{since: now, next: now.Add(t.o.StuckAfter)}
		t.mounts[pod.UID] = m
	}

	kept := *pod // not the page that it was listed with
	kept.ManagedFields = nil
	m.pod, m.as, m.on = &kept, p, on

	return m.found
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
// a namespace at a time, and ever less often.
func (t *term) readMounts(ctx context.Context, now time.Time) error {
	namespaces := map[string]bool{}

	for uid, m := range t.mounts {
		switch {
		case t.book.get(uid) == nil:
			delete(t.mounts, uid)
		case !now.Before(m.next):
			namespaces[m.pod.Namespace] = true
			m.next = now.Add(now.Sub(m.since))
		}
	}

	for namespace := range namespaces {
		events, err := t.core.Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=FailedMount"})
		if err != nil {
			return fmt.Errorf("cannot list the events of volumes that are not mounted: %w", err)
		}

		found := map[types.UID][]string{}
		for i := range events.Items {
			e := &events.Items[i]
			found[e.InvolvedObject.UID] = append(found[e.InvolvedObject.UID], e.Message)
		}

		for uid, m := range t.mounts {
			if m.pod.Namespace == namespace && len(found[uid]) > 0 {
				t.blameMounts(ctx, m, found[uid])
			}
		}
	}

	return nil
}

// blameMounts takes note of the events of a pod.
func (t *term) blameMounts(ctx context.Context, m *mount, messages []string) {
	blame := patches.NewBlame(m.as, m.pod, m.on)
	m.found = map[types.NamespacedName]symptom{}

	for _, message := range messages {
		by, what := unmounted(message, blame)
		for _, in := range by {
			m.found[nameOf(in)] = symptom{what: what, cure: createIt}
		}
	}

	t.see(ctx, m.pod, watch.Bookmark)

	for name := range m.found {
		if h := t.hangs[hangKey{m.pod.UID, name}]; h != nil {
			h.since = m.since
		}
	}
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
