package pods

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// hangKey is an Injection on a pod.
type hangKey struct {
	uid       types.UID
	injection types.NamespacedName
}

// hang is an Injection that keeps a pod from starting.
type hang struct {
	symptom

	failure failure.Failure
	pod     metav1.ObjectMeta // the part that names its owner
	// revision is that of the pod.
	revision string
	state    State // where it has recovered: Injected or Outdated
	since    time.Time
	// recovered is when it has, if it goes on as it is now; zero: it hangs.
	recovered time.Time
	isTold    bool
	// next is when the withdrawal is due, and then later and later.
	next time.Time
	wait time.Duration
}

// hangs are those of all pods.
type hangs struct {
	*Audit

	book   *book
	mounts *mounts
	all    map[hangKey]*hang
}

// has tells whether an Injection keeps a pod from starting, or did a moment ago.
func (hs *hangs) has(uid types.UID, injection types.NamespacedName) bool {
	return hs.all[hangKey{uid, injection}] != nil
}

// stateOf tells the state of an Injection that is on a pod: it may keep the pod from
// starting. As kubelet tries again, a pod is told only once it has hung for a while.
func (hs *hangs) stateOf(s sighting, v verdict) State {
	key, now := hangKey{s.pod.UID, nameOf(v.injection)}, time.Now()
	h, found := hs.all[key], s.symptoms[key.injection]

	switch {
	case found.what == "" && h == nil:
		return v.state
	case found.what == "":
		if h.recovered = h.recovers(s.pod, now); h.recovered.Equal(now) {
			delete(hs.all, key)

			return v.state
		}
	case h == nil:
		h = &hang{since: now, pod: trimmed(&s.pod.ObjectMeta)}
		if m := hs.mounts.all[s.pod.UID]; m != nil {
			h.since = m.since // events tell of it late
		}

		hs.all[key] = h

		fallthrough
	default:
		h.symptom, h.recovered = found, time.Time{}
		h.failure = failureOf(s, v.injection, failure.Stuck, found.what+". "+found.cure)
		h.failure.Revision = v.revision
	}

	h.state, h.revision = v.state, v.revision
	if h.isTold = h.isTold || hs.told[h.failure.Once]; h.isTold {
		hs.ails(s, v, h.failure)

		return Stuck
	}

	return v.state
}

// trimmed is what a withdrawal reads of a pod.
func trimmed(pod *metav1.ObjectMeta) metav1.ObjectMeta {
	part := metav1.ObjectMeta{
		Namespace: pod.Namespace, CreationTimestamp: pod.CreationTimestamp,
	}
	if by := controllerOf(pod); by != nil {
		part.OwnerReferences = []metav1.OwnerReference{*by}
	}

	if len(pod.Labels) <= maxLabels {
		part.Labels = pod.Labels
	}

	return part
}

// maxLabels is how many labels are kept of a pod that hangs. One with more is of no
// template.
const maxLabels = 100

// tell tells of the pods that have hung for long enough, and forgets those that
// have recovered.
func (hs *hangs) tell(now time.Time) {
	if stopped, _ := hs.known.Stopped(); stopped {
		return // pods are not looked at
	}

	for key, h := range hs.all {
		switch state, ok := hs.book.state(key.uid, key.injection); {
		case !ok, state != Injected && state != Outdated && state != Stuck:
			delete(hs.all, key)
		case !h.recovered.IsZero() && !now.Before(h.recovered):
			delete(hs.all, key)
			hs.book.change(key.uid, key.injection, h.state)
		case !h.isTold && now.Sub(h.since) >= hs.o.StuckAfter:
			h.isTold, hs.told[h.failure.Once] = true, true
			hs.book.change(key.uid, key.injection, Stuck)
			hs.reporter.Report(h.failure)
			hs.o.Healer.Ails(key.uid, h.pod.CreationTimestamp.Time, key.injection, h.failure)
		}
	}
}

// Withdrawer has the new pods of a pod's controller start without an Injection that
// keeps the pod from starting, if no other has started with it since a time. The
// text says how.
type Withdrawer interface {
	WithdrawStuck(ctx context.Context, pod *metav1.ObjectMeta, in *patches.Injection, text string, since time.Time, isStuck func(types.UID) bool) error
}

const (
	// firstAgain and lastAgain are how soon to ask again for a withdrawal: other pods
	// of the owner may have started, or it was withdrawn before.
	firstAgain, lastAgain = 5 * time.Second, 5 * time.Minute
	// asks is how many owners to ask for in one look.
	asks = 20
)

// withdrawal is an owner of pods that hang, and an Injection.
type withdrawal struct {
	owner     types.UID
	injection types.NamespacedName
}

// withdraw asks for the withdrawals that are due. Of each owner's pods the
// newest counts.
func (hs *hangs) withdraw(ctx context.Context, now time.Time) error {
	newest := map[withdrawal]*hang{}

	for key, h := range hs.all {
		by := metav1.GetControllerOf(&h.pod)
		if by == nil || !h.isDue(now, hs.o.WithdrawAfter) {
			continue
		}

		one := withdrawal{by.UID, key.injection}
		if newest[one] == nil && len(newest) == asks {
			continue
		}

		if n := newest[one]; n == nil || n.pod.CreationTimestamp.Before(&h.pod.CreationTimestamp) {
			newest[one] = h
		}

		h.wait = min(max(2*h.wait, firstAgain), lastAgain)
		h.next = now.Add(h.wait)
	}

	for key, h := range newest {
		in := hs.known.Get(key.injection.Namespace, key.injection.Name)
		if in == nil || in.Deny || in.Revision() != h.revision || in.WithdrawnFor(metav1.GetControllerOf(&h.pod), h.pod.Namespace) != nil {
			continue // an edit is a new try
		}

		isStuck := func(uid types.UID) bool { return hs.has(uid, key.injection) }
		if err := hs.withdrawer.WithdrawStuck(ctx, &h.pod, in, h.what, now.Add(-hs.o.WithdrawAfter), isStuck); err != nil {
			return err // each is asked for again
		}
	}

	return nil
}

func (h *hang) isDue(now time.Time, after time.Duration) bool {
	return h.isTold && h.recovered.IsZero() && now.Sub(h.since) >= after && !now.Before(h.next)
}
