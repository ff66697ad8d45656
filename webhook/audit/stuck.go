package audit

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/internal/oneline"
	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// WithdrawStuck has the new pods of a pod's controller start without an Injection
// that keeps the pod from starting. No trial is needed: the blame is direct. It does
// nothing if another pod of the controller has started with the Injection since a
// time, or if a trial goes on.
func (r *Refusals) WithdrawStuck(
	ctx context.Context, pod *metav1.ObjectMeta, in *patches.Injection, text string, since time.Time, isStuck func(types.UID) bool,
) error {
	by := metav1.GetControllerOf(pod)
	if by == nil || in.Deny {
		return nil
	}

	ref, ok := ownerOf(&corev1.ObjectReference{APIVersion: by.APIVersion, Kind: by.Kind, Namespace: pod.Namespace, Name: by.Name, UID: by.UID})
	if !ok {
		return nil
	}

	o, err := read(ctx, r.reader, ref)
	if err != nil || o == nil || o.idle || !o.isOfTemplate(pod.Labels) {
		return err
	}

	withdrawn, err := r.withdrawals.Withdrawn(ctx, nameOf(in))
	if err != nil || !mayWithdraw(withdrawn, o.key, in.Revision(), pod.CreationTimestamp.Time) {
		return err
	}

	started, err := o.hasStarted(ctx, r.reader, in, since, isStuck)
	if err != nil || started {
		return err
	}

	r.log.Info("pods start without an Injection, as none with it starts", "injection", in.String(), "owner", o.String(), "cause", text)

	return r.withdraw(ctx, in, withdrawStuck(o.key, in.Revision(), text, pod.CreationTimestamp.Time, time.Now()))
}

// mayWithdraw tells whether an Injection may be withdrawn from an owner, for a pod that
// was created at a time. In a retry that must be later: pods from before the withdrawal
// may be stuck still. A trial has its own outcome.
func mayWithdraw(all []v1alpha1.Withdrawal, key v1alpha1.Withdrawal, revision string, created time.Time) bool {
	at := find(all, key, revision)

	return at < 0 || all[at].Phase == v1alpha1.RetryPhase && !created.Before(all[at].Since.Time)
}

// withdrawStuck withdraws an Injection from an owner, if it may.
func withdrawStuck(key v1alpha1.Withdrawal, revision, text string, created, now time.Time) edit {
	return func(all []v1alpha1.Withdrawal) []v1alpha1.Withdrawal {
		if !mayWithdraw(all, key, revision, created) {
			return all
		}

		at := find(all, key, revision)
		if at < 0 {
			key.Revision = revision
			all, at = append(all, key), len(all)
		}

		one := &all[at]
		one.Reason, one.Since, one.Text = v1alpha1.StuckReason, at1s(now), oneline.Cut(text, maxText)
		withdraw(one, now)

		return fold(all, *one, now)
	}
}

// isOfTemplate tells whether a pod with these labels was made from the newest
// template.
func (o *owner) isOfTemplate(podLabels map[string]string) bool {
	return o.key.Template == "" || patches.TemplateOf(o.kind, podLabels) == o.key.Template
}

// hasStarted tells whether a pod with an Injection, and not stuck, has started since
// a time.
func (o *owner) hasStarted(
	ctx context.Context, reader client.Reader, in *patches.Injection, since time.Time, isStuck func(types.UID) bool,
) (bool, error) {
	selector, err := metav1.LabelSelectorAsSelector(o.selector)
	if err != nil {
		return false, nil //nolint:nilerr // the API server takes no such controller
	}

	pods := &corev1.PodList{}
	if err := reader.List(ctx, pods, client.InNamespace(o.namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return false, fmt.Errorf("cannot list the pods of %s: %w", o, err)
	}

	for i := range pods.Items {
		pod := &pods.Items[i]
		by := metav1.GetControllerOf(pod)

		if by != nil && by.UID == o.uid && o.isOfTemplate(pod.Labels) && !isStuck(pod.UID) && carries(pod, in) && startedSince(pod, since) {
			return true, nil
		}
	}

	return false, nil
}

// carries tells whether a pod has the newest revision of an Injection.
func carries(pod *corev1.Pod, in *patches.Injection) bool {
	recorded, _ := v1alpha1.ParseRecord(pod.Annotations[v1alpha1.InjectedAnnotation])
	for _, one := range recorded {
		if one.Name == in.String() && one.Revision == in.Revision() {
			return true
		}
	}

	return false
}

// startedSince tells whether the init containers of a pod have ended, or are sidecars
// that run, since a time, and its containers were all started.
func startedSince(pod *corev1.Pod, since time.Time) bool {
	for i := range pod.Status.ContainerStatuses {
		if c := &pod.Status.ContainerStatuses[i]; c.State.Waiting != nil && c.LastTerminationState.Terminated == nil {
			return false
		}
	}

	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodInitialized && c.Status == corev1.ConditionTrue {
			return len(pod.Status.ContainerStatuses) > 0 && !c.LastTransitionTime.Time.Before(since.Truncate(time.Second))
		}
	}

	return false
}
