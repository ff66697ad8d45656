package pods

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// markAnnotation is on the Lease of the audit.
	markAnnotation = "telltale.dev/audit"
	// behind is how far UpTo stays behind the newest pod that was looked at. For that
	// long, events tell a new leader which pods are told.
	behind = 2 * time.Minute
	// maxRelabelled is how many namespaces are kept, and maxPods how many pods of a kind.
	// With the longest names that is 236,000 bytes of the 262,144 that annotations may
	// have (TestMarkBounds).
	maxRelabelled, maxPods = 1400, 1000
	// maxHeld is how many namespaces may be held. If there are more, all are.
	maxHeld = 100
	// lastCall bounds the last write of a term. The next leader may wait for it.
	lastCall = 500 * time.Millisecond
)

// mark is what the next leader must know.
type mark struct {
	// UpTo: of pods created before, all that was missed is told. At first it is the
	// time of the installation.
	UpTo time.Time `json:"upTo"`
	// Held is the same of namespaces where something is still to be told, perhaps for
	// ever: a policy refuses events there. They hold up no others.
	Held map[string]time.Time `json:"held,omitempty"`
	// Namespaces is a resourceVersion: the labels of all namespaces up to it were
	// known.
	Namespaces string `json:"namespaces,omitempty"`
	// Relabelled is when the labels of namespaces changed, if they did.
	Relabelled map[string]time.Time `json:"relabelled,omitempty"`
	// Pods has the Injections on pods that are Relabelled, by the name that the failure
	// would have, and when the pods were created. A label that was removed leaves no
	// time on a pod.
	Pods namedPods `json:"pods,omitempty"`
	// TimedOut has the Injections on pods that lack them because the API server did not
	// wait for the answer, named as in Pods. Such a pod has no record of that.
	TimedOut namedPods `json:"timedOut,omitempty"`
	// Lost has the Injections that pods lost, named as in Pods, and that events have
	// told of: an event expires, and a pod may be any age when it loses one.
	Lost namedPods `json:"lost,omitempty"`
	// Scopes are those of the registration.
	Scopes scopes `json:"scopes"`
	// Stopped is true while all injection is stopped, and StoppedUntil is when that
	// was last seen.
	Stopped      bool      `json:"stopped,omitempty"`
	StoppedUntil time.Time `json:"stoppedUntil,omitzero"`
}

// namedPods are Injections on pods, by the name that a failure has, and when the pods
// were created.
type namedPods map[string]time.Time

func (n namedPods) has(once string) bool {
	_, has := n[once]

	return has
}

// add adds one. If there are too many, the oldest pod is forgotten.
func (n namedPods) add(once string, created time.Time) {
	n[once] = created.UTC().Truncate(time.Second)

	if len(n) > maxPods {
		delete(n, oldest(n))
	}
}

func (m *mark) makePods() {
	for _, pods := range []*namedPods{&m.Pods, &m.TimedOut, &m.Lost} {
		if *pods == nil {
			*pods = namedPods{}
		}
	}
}

// loadMark reads the mark of the last leader. If there is none, the audit begins
// now.
func (t *term) loadMark(ctx context.Context) (err error) {
	t.lease, err = t.leases.Get(ctx, t.o.Lease, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		t.mark = t.firstMark()
		t.lease, err = t.leases.Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: t.o.Lease}}, metav1.CreateOptions{})
	} else if err == nil {
		if json.Unmarshal([]byte(t.lease.Annotations[markAnnotation]), &t.mark) != nil || t.mark.UpTo.IsZero() {
			t.mark = t.firstMark() // not ours, or the first leader was interrupted
		}
	}

	if err != nil {
		return fmt.Errorf("cannot read the Lease of the audit: %w", err)
	}

	if t.mark.Relabelled == nil {
		t.mark.Relabelled = map[string]time.Time{}
	}

	t.mark.makePods()

	if t.mark.Stopped { // it ended while nobody looked, at the latest now
		t.mark.Stopped, t.mark.StoppedUntil = false, time.Now()
	}

	t.began, t.before, t.beforeNamespaces, t.nextNamespaces = time.Now(), t.mark.UpTo, t.mark.Namespaces, t.known.NamespacesUpTo()
	t.beforeHeld = maps.Clone(t.mark.Held)

	return nil
}

// firstMark is that of the installation.
func (t *term) firstMark() mark {
	return mark{UpTo: time.Now(), Namespaces: t.known.NamespacesUpTo()}
}

// errOvertaken is for a mark that somebody else has written, or this process in a call
// without an answer. The mark that is known here is too old to be written again.
var errOvertaken = errors.New("the Lease of the audit has changed")

// saveMark writes the mark. The Lease is written under its resourceVersion, so that
// a leader of before can't undo it.
func (t *term) saveMark(ctx context.Context) error {
	text, err := json.Marshal(t.mark)
	if err != nil || t.lease.Annotations[markAnnotation] == string(text) {
		return err
	}

	lease := t.lease.DeepCopy()
	lease.Annotations = map[string]string{markAnnotation: string(text)}

	written, err := t.leases.Update(ctx, lease, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return fmt.Errorf("%w: %w", errOvertaken, err)
	}

	if err != nil {
		return fmt.Errorf("cannot write the Lease of the audit: %w", err)
	}

	t.lease = written

	return nil
}

// leave writes the mark once more at the end of ctx: the next leader must know what
// was relabelled in the last seconds.
func (t *term) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCall)
	defer cancel()

	t.changes.addTo(t.mark.Relabelled)

	return t.saveMark(ctx)
}

// advance moves the mark as far as all is told. A namespace where it is not is held.
func (t *term) advance() {
	t.changes.addTo(t.mark.Relabelled)
	t.mark.Namespaces, t.nextNamespaces = t.nextNamespaces, t.known.NamespacesUpTo()

	upTo := t.heard.Add(-behind)

	untold := t.reporter.Owed(toldOnce()...)
	held := make(map[string]time.Time, len(untold))

	for namespace := range untold {
		held[namespace] = t.mark.upTo(namespace)
	}

	for _, c := range t.candidates {
		if !c.created.Before(upTo) || c.isOld {
			continue
		}

		untold[c.namespace] = true // it is of a time when nobody looked, or nobody could tell

		if at, isHeld := held[c.namespace]; !isHeld || c.created.Before(at) {
			held[c.namespace] = earliestOf(t.mark.upTo(c.namespace), c.created)
		}
	}

	if untold[""] || len(untold) > maxHeld {
		return
	}

	t.mark.Held = held

	for once, lost := range t.lostPods {
		if !untold[lost.namespace] {
			t.mark.Lost.add(once, lost.created)
			delete(t.lostPods, once)
		}
	}

	if upTo.After(t.mark.UpTo) {
		t.mark.UpTo = upTo.UTC().Truncate(time.Second)
	}
}

func earliestOf(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}

	return a
}

// upTo is UpTo, or Held of a namespace.
func (m *mark) upTo(namespace string) time.Time {
	if at, held := m.Held[namespace]; held {
		return at
	}

	return m.UpTo
}

// toldBefore is the mark at the start of the term, for the pods of a namespace: all that
// older ones had missed was told.
func (t *term) toldBefore(namespace string) time.Time {
	if at, held := t.beforeHeld[namespace]; held {
		return at
	}

	return t.before
}
