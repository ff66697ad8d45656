package heal

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// state is that of one controller and its pods, as the API server has it.
type state struct {
	// isSettled: there are as many pods as there should be, and all that are not ill
	// are ready.
	isSettled bool
	// isInVain: a pod that came after the last eviction is ill, too.
	isInVain bool
	ill      []types.UID // those that exist
}

// examine reads a controller and its pods. A controller that is gone needs no more.
func (h *Healer) examine(ctx context.Context, c failure.Ref, ill map[types.UID]patient, last time.Time) (s state, err error) {
	o, wants, selector := controllerOf(c.Kind)
	if o == nil {
		return state{isSettled: true}, nil
	}

	err = h.reader.Get(ctx, types.NamespacedName{Namespace: c.Namespace, Name: c.Name}, o)
	if apierrors.IsNotFound(err) || err == nil && o.GetUID() != c.UID {
		return state{isSettled: true}, nil
	}

	if err != nil {
		return s, fmt.Errorf("cannot read %s: %w", c, err)
	}

	selects, err := metav1.LabelSelectorAsSelector(selector())
	if err != nil {
		return s, fmt.Errorf("cannot read the selector of %s: %w", c, err)
	}

	var pods corev1.PodList
	if err := h.reader.List(ctx, &pods, client.InNamespace(c.Namespace), client.MatchingLabelsSelector{Selector: selects}); err != nil {
		return s, fmt.Errorf("cannot list the pods of %s: %w", c, err)
	}

	here := 0
	s.isSettled = true

	for i := range pods.Items {
		p := &pods.Items[i]
		if by := metav1.GetControllerOf(p); by == nil || by.UID != c.UID || isOver(p) {
			continue
		}

		here++
		sick, isIll := ill[p.UID]
		isIll = isIll && sick.isStillIll(p)

		switch {
		case p.DeletionTimestamp != nil:
			s.isSettled = false
		case isIll:
			s.ill = append(s.ill, p.UID)
			s.isInVain = s.isInVain || isAfter(p, last)
		case !isReady(p), !isAsked(p, last):
			s.isSettled = false
		}
	}

	s.isSettled = s.isSettled && here >= int(wants())

	return s, nil
}

// controllerOf returns an empty controller of a kind, and what to read of it: how many
// pods it is to have, and its selector.
func controllerOf(kind string) (o client.Object, wants func() int32, selector func() *metav1.LabelSelector) {
	one := func(replicas *int32) int32 {
		if replicas == nil {
			return 1
		}

		return *replicas
	}

	switch kind {
	case "ReplicaSet":
		r := &appsv1.ReplicaSet{}

		return r, func() int32 { return one(r.Spec.Replicas) }, func() *metav1.LabelSelector { return r.Spec.Selector }
	case "StatefulSet":
		s := &appsv1.StatefulSet{}

		return s, func() int32 { return one(s.Spec.Replicas) }, func() *metav1.LabelSelector { return s.Spec.Selector }
	case "DaemonSet":
		d := &appsv1.DaemonSet{}

		return d, func() int32 { return d.Status.DesiredNumberScheduled }, func() *metav1.LabelSelector { return d.Spec.Selector }
	default:
		return nil, nil, nil
	}
}

func isOver(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// isStillIll tells whether a pod that was stuck still does not work. One that missed an
// Injection goes on to miss it.
func (p patient) isStillIll(pod *corev1.Pod) bool {
	return p.reason != failure.Stuck || !hasStarted(pod) || p.neverWorked() && !isReady(pod)
}

// hasStarted tells whether a container of the app itself has ever run.
func hasStarted(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.State.Running != nil || c.State.Terminated != nil || c.LastTerminationState.Terminated != nil
	})
}

func isReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}

	return false
}

// isAsked tells whether Telltale was asked about a replacement: it has a record. One
// that has none is ill, and the audit will say so.
func isAsked(p *corev1.Pod, last time.Time) bool {
	return !isAfter(p, last) ||
		p.Annotations[v1alpha1.InjectedAnnotation] != "" || p.Annotations[v1alpha1.FailedAnnotation] != ""
}

// isAfter tells whether a pod came after an eviction, if there was one. Times of
// creation are whole seconds.
func isAfter(p *corev1.Pod, last time.Time) bool {
	return !last.IsZero() && !p.CreationTimestamp.Time.Before(last.Truncate(time.Second))
}
