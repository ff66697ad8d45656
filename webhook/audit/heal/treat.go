package heal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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

// healedAnnotation, on the event, names the last pod that was evicted, by its uid, and
// its controller.
const healedAnnotation = "telltale.dev/healed"

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
	if !h.limit.Allow() {
		return 0, nil
	}

	if err := h.save(ctx, &intent{owner, p.controller, p.name, p.uid, text(p), p.injection}); err != nil {
		return 0, err
	}

	switch err := h.send(ctx, p); {
	case errors.Is(err, errUnwell):
		return 0, h.save(ctx, nil)
	case apierrors.IsTooManyRequests(err):
		return refused, h.save(ctx, nil) // its PodDisruptionBudget has no room
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		h.IsGone(p.uid)

		return 0, h.save(ctx, nil)
	case err != nil:
		return h.fail(ctx, fmt.Errorf("cannot evict pod %s/%s: %w", p.controller.Namespace, p.name, err))
	}

	h.o.Log.Info("evicted a pod", "reason", p.reason, "injection", p.injection.String(), "owner", owner.String(), "pod", p.name)

	return 0, h.finish(ctx)
}

// fail is for an eviction that failed. Unless the API server has refused it, it may be
// made all the same, and checkIntent finds out. Other owners come first after that.
func (h *Healer) fail(ctx context.Context, err error) (rest time.Duration, _ error) {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Code < http.StatusInternalServerError {
		return refused, errors.Join(err, h.save(ctx, nil))
	}

	return 2 * underWay, err
}

// errUnwell: the API server does not ask Telltale about new pods.
var errUnwell = errors.New("the canary is not well")

// send sends one request. Clients of this kind try again later where a budget is just
// being counted, and the canary may fail meanwhile.
func (h *Healer) send(ctx context.Context, p patient) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	if !h.o.Well() {
		return errUnwell
	}

	return h.core.RESTClient().Post().MaxRetries(0).
		Namespace(p.controller.Namespace).Resource("pods").Name(p.name).SubResource("eviction").
		Body(&policyv1.Eviction{
			ObjectMeta:    metav1.ObjectMeta{Namespace: p.controller.Namespace, Name: p.name},
			DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &p.uid}},
		}).Do(ctx).Error()
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

// encode names a controller, and one of its pods. decode reads the controller.
func encode(c failure.Ref, pod types.UID) string {
	return strings.Join([]string{c.APIVersion, c.Kind, c.Name, string(c.UID), string(pod)}, " ")
}

func decode(s, namespace string) (failure.Ref, bool) {
	parts := strings.Split(s, " ")
	if len(parts) < 4 {
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
			if c, ok := decode(e.Annotations[healedAnnotation], e.Namespace); ok {
				last[e.InvolvedObject.UID] = treatment{e.LastTimestamp.Time, c}
			}
		}

		if o.Continue = list.Continue; o.Continue == "" {
			return last, nil
		}
	}
}
