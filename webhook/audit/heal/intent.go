package heal

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/webhook/audit/note"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// intentAnnotation is on the Lease of the healer.
const intentAnnotation = "telltale.dev/heal"

// underWay is how long an eviction may be under way in the API server, once its caller
// is gone.
//
// Source: --request-timeout, k8s.io/apiserver v0.37.2 pkg/server/config.go.
const underWay = time.Minute

// intent is an eviction that is to be made. The Lease has it from before the eviction
// until its event is written, so that no end of a leader loses the event.
type intent struct {
	Owner      failure.Ref `json:"owner"`
	Controller failure.Ref `json:"controller"`
	Pod        string      `json:"pod"`
	UID        types.UID   `json:"uid"`
	Text       string      `json:"text"` // of the event
	// Injection is the one that the pod lacks, or that kept it from starting.
	Injection types.NamespacedName `json:"injection"`
}

// journal is the Lease, as it was last read or written, and the intent that it has.
type journal struct {
	lease *coordinationv1.Lease
	in    *intent // nil: none
	since time.Time
}

// open reads what the last leader has left.
func (h *Healer) open(ctx context.Context) (j journal, err error) {
	j.lease, err = h.leases.Get(ctx, h.o.Lease, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		j.lease, err = h.leases.Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: h.o.Lease}}, metav1.CreateOptions{})
	}

	if err != nil {
		return j, fmt.Errorf("cannot read the Lease of the healer: %w", err)
	}

	j.since = time.Now()
	if text := j.lease.Annotations[intentAnnotation]; text != "" && json.Unmarshal([]byte(text), &j.in) != nil {
		j.in = nil // not ours
	}

	return j, nil
}

// save writes an intent, or that there is none. It is written under the Lease's
// resourceVersion, so that a leader of before writes nothing. After an error all is
// read again.
func (h *Healer) save(ctx context.Context, in *intent) error {
	lease := h.journal.lease.DeepCopy()
	lease.Annotations = nil

	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}

		lease.Annotations = map[string]string{intentAnnotation: string(text)}
	}

	written, err := h.leases.Update(ctx, lease, metav1.UpdateOptions{})
	if err != nil {
		h.last = nil

		return fmt.Errorf("cannot write the Lease of the healer: %w", err)
	}

	h.journal = journal{written, in, time.Now()}

	return nil
}

// at is when the intent was written, by the clock of the API server: that of the times
// at which pods are created. It is a whole second.
func (j journal) at() time.Time {
	at := time.Time{}

	for _, m := range j.lease.ManagedFields {
		if m.Time != nil && m.Time.After(at) {
			at = m.Time.Time
		}
	}

	if at.IsZero() {
		return j.since // something strips these times
	}

	return at
}

// checkIntent finds out if an eviction that was to be made was made: the leader was
// killed, or the API server has not answered. It returns false as long as the eviction may
// be under way.
func (h *Healer) checkIntent(ctx context.Context) (isDone bool, err error) {
	in := h.journal.in
	if in == nil {
		return true, nil
	}

	if time.Since(h.journal.at()) > inVain {
		return true, h.save(ctx, nil) // nobody reads an event that is so old
	}

	p := &metav1.PartialObjectMetadata{}
	p.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))

	err = h.reader.Get(ctx, types.NamespacedName{Namespace: in.Owner.Namespace, Name: in.Pod}, p)

	switch {
	case apierrors.IsNotFound(err), err == nil && (p.UID != in.UID || p.DeletionTimestamp != nil):
		return true, h.finish(ctx)
	case err != nil:
		return false, fmt.Errorf("cannot read pod %s/%s: %w", in.Owner.Namespace, in.Pod, err)
	case time.Since(h.journal.since) < h.underWay:
		return false, nil
	default:
		return true, h.save(ctx, nil)
	}
}

// finish tells of the eviction that was intended, once in all.
func (h *Healer) finish(ctx context.Context) error {
	in := h.journal.in
	healed := encode(in.Controller, in.UID)
	h.last[in.Owner.UID] = treatment{h.journal.at(), in.Controller}

	err := note.Write(ctx, h.core, note.Note{
		Owner: in.Owner, Reason: failure.Healed, Injection: named(in.Injection), Text: in.Text, Tell: h.o.Tell, At: h.journal.at(), Annotations: map[string]string{healedAnnotation: healed},
		Told: func(e *corev1.Event) bool { return e.Annotations[healedAnnotation] == healed },
	})
	if err != nil {
		return err
	}

	return h.save(ctx, nil)
}
