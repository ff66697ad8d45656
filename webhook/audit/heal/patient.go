package heal

import (
	"context"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/webhook/audit/note"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// maxPatients is how many pods are remembered. Further ones follow when these are
// healed, and the audit sees them again.
const maxPatients = 10_000

// patient is a pod that may be better off as a new one.
type patient struct {
	uid        types.UID
	name       string
	created    time.Time
	controller failure.Ref
	// injection is the one that it lacks, or that keeps it from starting, and reason
	// says which: failure.Missed or failure.Stuck.
	injection types.NamespacedName
	reason    failure.Reason
}

// Ails notes a pod that is to be healed, if it can be.
func (h *Healer) Ails(uid types.UID, created time.Time, injection types.NamespacedName, f failure.Failure) {
	p := patient{uid, f.Pod, created, f.Owner, injection, f.Reason}
	if p.reason == failure.Missed && !h.o.Missed || p.reason == failure.Stuck && !h.o.Stuck || !isHealed(p.controller.Kind) {
		return
	}

	h.mu.Lock()
	defer h.mu.Unlock()

	if _, known := h.patients[p.uid]; known || len(h.patients) < maxPatients {
		h.patients[p.uid] = p
	}
}

// IsGone forgets a pod.
func (h *Healer) IsGone(uid types.UID) {
	h.mu.Lock()
	defer h.mu.Unlock()

	delete(h.patients, uid)
}

// forgetAll forgets all pods: the next time as the leader, the audit finds those that
// are there then.
func (h *Healer) forgetAll() {
	h.mu.Lock()
	defer h.mu.Unlock()

	clear(h.patients)
}

// isHealed tells whether pods of a kind of controller are healed.
func isHealed(kind string) bool {
	return kind == "ReplicaSet" || kind == "StatefulSet" || kind == "DaemonSet"
}

// helps tells whether the replacement of a pod would be better.
func (h *Healer) helps(p patient) bool {
	in := h.known.Get(p.injection.Namespace, p.injection.Name)
	if in == nil {
		return p.reason == failure.Stuck // it was deleted since
	}

	by := &metav1.OwnerReference{APIVersion: p.controller.APIVersion, Kind: p.controller.Kind, Name: p.controller.Name, UID: p.controller.UID}
	isWithdrawn := in.WithdrawnFor(by, p.controller.Namespace) != nil

	return isWithdrawn == (p.reason == failure.Stuck) && (isWithdrawn || in.Err() == nil)
}

// owner is an object with pods to be healed.
type owner struct {
	ref      failure.Ref
	patients []patient // the oldest first
}

// byOwner returns the owners of all pods whose replacements would be better.
func (h *Healer) byOwner(ctx context.Context) (all []*owner, err error) {
	h.mu.Lock()
	patients := make([]patient, 0, len(h.patients))
	for _, p := range h.patients {
		patients = append(patients, p)
	}
	h.mu.Unlock()

	slices.SortFunc(patients, func(a, b patient) int { return a.created.Compare(b.created) })

	owners := map[types.UID]*owner{}

	for _, p := range patients {
		if !h.helps(p) {
			continue
		}

		ref, err := h.ownerOf(ctx, p.controller)
		if err != nil {
			return nil, err
		}

		o := owners[ref.UID]
		if o == nil {
			o = &owner{ref: ref}
			owners[ref.UID] = o
			all = append(all, o)
		}

		o.patients = append(o.patients, p)
	}

	return all, nil
}

// ownerOf returns the object that events of a controller's pods are on.
func (h *Healer) ownerOf(ctx context.Context, c failure.Ref) (failure.Ref, error) {
	if ref, known := h.owners[c.UID]; known {
		return ref, nil
	}

	ref, err := note.OwnerOf(ctx, h.reader, c)
	if err != nil {
		return ref, err
	}

	if len(h.owners) > maxPatients {
		clear(h.owners)
	}

	h.owners[c.UID] = ref

	return ref, nil
}
