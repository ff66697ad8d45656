package heal

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/webhook/audit/note"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// treatment is the last eviction of one of an owner's pods.
type treatment struct {
	at         time.Time
	controller failure.Ref
}

// controllerAnnotation, on the event, names the controller of the last pod that was
// evicted.
const controllerAnnotation = "telltale.dev/healed"

// treat evicts one pod of an owner, if no other pod of its controllers is on its way.
// It returns for how long to leave the owner alone.
func (h *Healer) treat(ctx context.Context, o *owner) (rest time.Duration, err error) {
	if last, healed := h.last[o.ref.UID]; healed && time.Since(last.at) > inVain {
		delete(h.last, o.ref.UID)
	}

	last, healed := h.last[o.ref.UID]
	controllers, ill := map[types.UID]failure.Ref{}, map[types.UID]patient{}

	if healed {
		controllers[last.controller.UID] = last.controller
	}

	for _, p := range o.patients {
		controllers[p.controller.UID], ill[p.uid] = p.controller, p
	}

	exist := map[types.UID]bool{}

	for _, c := range controllers {
		state, err := h.examine(ctx, c, ill, last.at)
		if err != nil || !state.isSettled {
			return 0, err
		}

		if state.isInVain {
			h.o.Log.Info("the replacement of an evicted pod is no better", "owner", o.ref.String())

			return time.Until(last.at.Add(inVain)), nil
		}

		for _, uid := range state.ill {
			exist[uid] = true
		}
	}

	for _, p := range o.patients {
		if exist[p.uid] {
			return h.evict(ctx, o.ref, p)
		}
	}

	return 0, nil
}

// evict evicts a pod, and says so on its owner.
func (h *Healer) evict(ctx context.Context, owner failure.Ref, p patient) (rest time.Duration, err error) {
	if !h.o.Well() || !h.limit.Allow() {
		return 0, nil
	}

	err = h.policy.Evictions(p.controller.Namespace).Evict(ctx, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: p.controller.Namespace, Name: p.name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &p.uid}},
	})

	switch {
	case apierrors.IsTooManyRequests(err):
		return refused, nil // its PodDisruptionBudget has no room
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		h.IsGone(p.uid)

		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("cannot evict pod %s/%s: %w", p.controller.Namespace, p.name, err)
	}

	h.o.Log.Info("evicted a pod", "reason", p.reason, "injection", p.injection.String(), "owner", owner.String(), "pod", p.name)
	h.last[owner.UID] = treatment{time.Now(), p.controller}

	return 0, note.Write(ctx, h.core, note.Note{
		Owner: owner, Reason: failure.Healed, Injection: named(p.injection), Text: text(p), Tell: h.o.Tell,
		Annotations: map[string]string{controllerAnnotation: encode(p.controller)},
	})
}

func named(n types.NamespacedName) failure.Injection {
	return failure.Injection{Cluster: n.Namespace == "", Name: n.Name}
}

// text is that of the event.
func text(p patient) string {
	title := named(p.injection).Title()
	if p.reason == failure.Stuck {
		return fmt.Sprintf("Evicted pod %s: it did not start because of %s. Its replacement starts without it.", p.name, title)
	}

	return fmt.Sprintf("Evicted pod %s: it was created without %s. Its replacement gets it.", p.name, title)
}

// encode names a controller, and decode reads it.
func encode(c failure.Ref) string {
	return strings.Join([]string{c.APIVersion, c.Kind, c.Name, string(c.UID)}, " ")
}

func decode(s, namespace string) (failure.Ref, bool) {
	parts := strings.Split(s, " ")
	if len(parts) != 4 {
		return failure.Ref{}, false
	}

	return failure.Ref{APIVersion: parts[0], Kind: parts[1], Namespace: namespace, Name: parts[2], UID: types.UID(parts[3])}, true
}

// loadLast reads from events what earlier leaders have evicted.
func (h *Healer) loadLast(ctx context.Context) (map[types.UID]treatment, error) {
	last := map[types.UID]treatment{}
	o := metav1.ListOptions{FieldSelector: "source=" + note.Component + ",reason=" + string(failure.Healed), Limit: 500}

	for {
		list, err := h.core.Events(corev1.NamespaceAll).List(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("cannot list the events of evicted pods: %w", err)
		}

		for i := range list.Items {
			e := &list.Items[i]
			if c, ok := decode(e.Annotations[controllerAnnotation], e.Namespace); ok {
				last[e.InvolvedObject.UID] = treatment{e.LastTimestamp.Time, c}
			}
		}

		if o.Continue = list.Continue; o.Continue == "" {
			return last, nil
		}
	}
}
