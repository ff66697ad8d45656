package pods

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// list looks at all pods of a namespace, or of all. It returns the resourceVersion to
// watch from.
func (t *term) list(ctx context.Context, namespace string) (version string, err error) {
	begun := time.Now()
	pass := t.book.begin()
	newest := "" // all pages have the same

	if namespace == "" {
		t.skipped = false
	}

	err = eachListed(ctx, metav1.ListOptions{}, func(ctx context.Context, o metav1.ListOptions) (*corev1.PodList, error) {
		list, err := t.lists.Pods(namespace).List(ctx, o)
		if err == nil {
			newest = list.ResourceVersion
		}

		return list, err
	}, func(pod runtime.Object) {
		t.see(ctx, pod.(*corev1.Pod), watch.Bookmark) // neither added nor changed
	})
	if err != nil {
		return "", fmt.Errorf("cannot list pods: %w", err)
	}

	if namespace == "" {
		if !t.skipped {
			t.book.sweep(pass, t.forget)
			t.forgetGone()

			t.isWhole = true
		}

		t.hears(begun)
		t.metrics.heard(begun)
		t.rested = time.Now().Add(pauses * time.Since(begun))
	}

	return newest, nil
}

// watch looks at each pod that changes. It returns without an error when the watch
// has to begin anew.
func (t *term) watch(ctx context.Context, version string) error {
	w, err := t.core.Pods("").Watch(ctx, metav1.ListOptions{ResourceVersion: version, AllowWatchBookmarks: true})
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return nil
	}

	if err != nil {
		return fmt.Errorf("cannot watch pods: %w", err)
	}

	defer w.Stop()

	looks := time.NewTicker(lookPeriod)
	defer looks.Stop()

	for times := 1; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-looks.C:
			if err := t.look(ctx, times); err != nil {
				return err
			}

			times++
		case e, ok := <-w.ResultChan():
			if !ok {
				return nil
			}

			if err := t.changed(ctx, e); err != nil {
				return nil // mostly, the resourceVersion is too old: list again
			}
		}
	}
}

// changed is for one event of the watch.
func (t *term) changed(ctx context.Context, e watch.Event) error {
	pod, ok := e.Object.(*corev1.Pod)
	if !ok {
		return apierrors.FromObject(e.Object)
	}

	switch e.Type {
	case watch.Added, watch.Modified:
		t.see(ctx, pod, e.Type)
		t.hears(written(pod))
	case watch.Deleted:
		t.forget(pod.UID, t.book.remove(pod.UID))
	default:
	}

	if order, err := resourceversion.CompareResourceVersion(pod.ResourceVersion, t.sounded.version); err == nil && order >= 0 {
		t.hears(t.sounded.at)
		t.sounded = sounding{}
	}

	t.metrics.heard(time.Now())

	return nil
}

// hears notes that all pods created before a time are known. This process' clock does
// not tell: a look at other things takes a while, and events wait meanwhile. But a time
// to come is made up: a user can write managedFields.
func (t *term) hears(at time.Time) {
	if !at.After(time.Now()) {
		t.heard = latestOf(t.heard, at)
	}
}

// written is when a pod was last written, its status included, by the API server's
// clock.
func written(pod *corev1.Pod) time.Time {
	at := pod.CreationTimestamp.Time

	for _, by := range pod.ManagedFields {
		if by.Time != nil {
			at = latestOf(at, by.Time.Time)
		}
	}

	return at
}

// sounding is the resourceVersion of all pods at a time: when the watch has come to it,
// all pods created before are known.
type sounding struct {
	version string
	at      time.Time
}

// sound asks for it once no pod was written for a minute. Then the watch has a bookmark
// only.
func (t *term) sound(ctx context.Context, now time.Time) error {
	if t.sounded.version != "" || now.Sub(t.heard) < quiet {
		return nil
	}

	list, err := t.lists.Pods("").List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return fmt.Errorf("cannot ask for the newest pods: %w", err)
	}

	t.sounded = sounding{list.ResourceVersion, now}

	return nil
}

// see looks at one pod. It is Added or Modified; or it was listed, and may be
// either.
func (t *term) see(ctx context.Context, pod *corev1.Pod, how watch.EventType) {
	old := t.book.get(pod.UID)

	looks := looksOf(pod)
	if how == watch.Modified && old != nil && old.looks == looks && looks != 0 && !t.isWatched(pod, old) {
		return // mostly: a pod runs, or is ready
	}

	traits := patches.TraitsOf(pod)
	matches, err := t.known.Match(traits, pod.Namespace)
	previews := t.known.Previews(traits, pod.Namespace)

	if t.isOnHold() { // not before: nothing matches meanwhile
		t.skipped = true

		return
	}

	if len(matches)+len(previews) == 0 || err != nil && matches == nil {
		t.book.remove(pod.UID)
		t.o.Healer.IsGone(pod.UID) // no new one would have the Injection

		return
	}

	p, err := decoded(pod)
	if err != nil {
		t.o.Log.V(1).Info("cannot read a pod", "namespace", pod.Namespace, "pod", pod.Name, "error", err.Error())

		return
	}

	sinceNamespace, labels := t.sinceNamespace(ctx, pod.Namespace)
	inScope, isIn := t.mark.Scopes.selects(pod.Labels, labels)
	stopped := Since{t.mark.StoppedUntil, t.mark.StoppedUntil}

	if labels != nil && !hasRecord(pod) && !t.mark.Scopes.ever(pod.Labels, labels) {
		t.book.remove(pod.UID)

		return
	}

	if p.IsMirror() {
		t.book.remove(pod.UID)

		return
	}

	all := judge(p, birthOf(pod), pod.Namespace, matches, func(in *patches.Injection) Since {
		if !isIn {
			return Since{After: unknown.Until, Until: unknown.Until}
		}

		return latest(sinceNamespace, inScope, stopped, t.sinceInjection(ctx, in))
	})

	t.note(ctx, look{pod, p, labels, isIn, how, old, looks}, all, matches, previews)
}

// look is a look at one pod.
type look struct {
	pod    *corev1.Pod
	as     *patches.Pod
	labels map[string]string // of the namespace
	isIn   bool
	how    watch.EventType
	old    *entry
	looks  uint64
}

// note tells the states of a pod from the verdicts on it, and puts it into the book.
func (t *term) note(ctx context.Context, l look, all []verdict, matches, previews []patches.Match) {
	pod, old := l.pod, l.old
	was, symptoms := t.book.states(old), t.mounts.symptoms(pod, l.as, all)
	next := make([]stated, 0, len(all))

	for _, v := range all {
		name := nameOf(v.injection)
		before, known := was[name]
		s := sighting{pod: pod, labels: l.labels, isIn: l.isIn, how: l.how, isNew: old == nil, known: known, was: before, symptoms: symptoms}
		next = append(next, stated{tally: t.book.tally(name), state: t.stateOf(s, v)})
	}

	next = append(next, t.preview(ctx, pod, l.as, matches, previews)...)

	t.book.put(pod.UID, pod.CreationTimestamp.Time, entry{states: next, group: t.book.groups.of(pod), isOver: isOver(pod), looks: l.looks})
}

// isOnHold is true while all injection is stopped, and until seeStop has taken note
// that it goes on. Pods are not looked at then.
func (t *term) isOnHold() bool {
	stopped, ended := t.known.Stopped()

	return stopped || t.mark.Stopped || ended.After(t.mark.StoppedUntil)
}

// hasRecord tells whether Telltale was asked about a pod, as far as that can be seen.
func hasRecord(pod *corev1.Pod) bool {
	return pod.Annotations[v1alpha1.InjectedAnnotation] != "" || pod.Annotations[v1alpha1.FailedAnnotation] != ""
}

// isWatched tells whether the status of a pod decides, too: it hangs, or did, or it
// has ended.
func (t *term) isWatched(pod *corev1.Pod, old *entry) bool {
	if isSuspect(pod) || isUnmounted(pod) || t.mounts.all[pod.UID] != nil || old.isOver != isOver(pod) {
		return true
	}

	return slices.ContainsFunc(old.states, func(s stated) bool { return t.hangs.has(pod.UID, s.name) })
}

// decoded is the pod as the webhook reads it.
func decoded(pod *corev1.Pod) (*patches.Pod, error) {
	plain := *pod
	plain.ManagedFields = nil
	plain.Status = corev1.PodStatus{}

	raw, err := json.Marshal(&plain)
	if err != nil {
		return nil, err
	}

	return patches.Decode(raw)
}
