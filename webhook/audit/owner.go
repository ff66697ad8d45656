package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// ownerRef names a controller of pods.
type ownerRef struct {
	apiVersion, kind, namespace, name string
	uid                               types.UID
}

// ownerOf returns the controller that an event is about. It is false for kinds that
// are not Kubernetes' own: the shape of their pods is not known.
func ownerOf(o *corev1.ObjectReference) (ownerRef, bool) {
	switch o.GroupVersionKind().GroupKind().String() {
	case "ReplicaSet.apps", "StatefulSet.apps", "DaemonSet.apps", "Job.batch":
		return ownerRef{o.APIVersion, o.Kind, o.Namespace, o.Name, o.UID}, true
	default:
		return ownerRef{}, false
	}
}

// String is "replicaset shop/checkout-5d7f9689b7", for logs.
func (r ownerRef) String() string {
	return strings.ToLower(r.kind) + " " + r.namespace + "/" + r.name
}

// owner is the part of a controller of pods that counts here.
type owner struct {
	ownerRef
	// wants is true while it has fewer pods than it should have.
	wants bool
	// idle is true where it should have none.
	idle bool
	// stale is true where its status is of an earlier spec.
	stale    bool
	template corev1.PodTemplateSpec
	selector *metav1.LabelSelector
	// key names its pods in a withdrawal.
	key v1alpha1.Withdrawal
}

// read returns an owner as it is now, or nil if it is gone.
func read(ctx context.Context, reader client.Reader, o ownerRef) (*owner, error) {
	object := map[string]client.Object{
		"ReplicaSet": &appsv1.ReplicaSet{}, "StatefulSet": &appsv1.StatefulSet{}, "DaemonSet": &appsv1.DaemonSet{}, "Job": &batchv1.Job{},
	}[o.kind]
	if err := reader.Get(ctx, types.NamespacedName{Namespace: o.namespace, Name: o.name}, object); err != nil {
		if client.IgnoreNotFound(err) == nil {
			return nil, nil // gone
		}

		return nil, fmt.Errorf("cannot read %s %s/%s: %w", o.kind, o.namespace, o.name, err)
	}

	if object.GetUID() != o.uid || object.GetDeletionTimestamp() != nil {
		return nil, nil // another object of this name
	}

	c := &owner{ownerRef: o, key: v1alpha1.Withdrawal{Namespace: o.namespace, Kind: o.kind, Name: o.name, UID: o.uid}}

	switch x := object.(type) {
	case *appsv1.ReplicaSet:
		c.expect(x.Status.Replicas, orOne(x.Spec.Replicas))
		c.template, c.selector = x.Spec.Template, x.Spec.Selector
	case *appsv1.StatefulSet:
		c.expect(x.Status.Replicas, orOne(x.Spec.Replicas))
		c.template, c.selector = x.Spec.Template, x.Spec.Selector
		c.key.Template, c.stale = x.Status.UpdateRevision, x.Status.ObservedGeneration < x.Generation
	case *appsv1.DaemonSet:
		c.expect(x.Status.CurrentNumberScheduled, x.Status.DesiredNumberScheduled)
		c.template, c.selector = x.Spec.Template, x.Spec.Selector
		c.key.Template = x.Annotations[appsv1.DeprecatedTemplateGeneration]
	case *batchv1.Job:
		should := orOne(x.Spec.Parallelism)
		if x.Spec.Completions != nil {
			should = min(should, *x.Spec.Completions-x.Status.Succeeded)
		}

		c.expect(x.Status.Active, should)
		c.template, c.selector = x.Spec.Template, x.Spec.Selector
		c.idle = c.idle || x.Status.CompletionTime != nil

		// Of other Jobs, a webhook can't tell the CronJob: `kubectl create job --from` names
		// them.
		if cron := metav1.GetControllerOf(x); cron != nil && cron.Kind == "CronJob" && cron.Name == patches.CronJobOf(x.Name) {
			c.key.Kind, c.key.Name, c.key.UID = cron.Kind, cron.Name, cron.UID
		}
	}

	return c, nil
}

func orOne(n *int32) int32 {
	if n == nil {
		return 1
	}

	return *n
}

func (o *owner) expect(has, should int32) { o.wants, o.idle = has < should, should == 0 }

// pod is a pod as the controller will create it. The API server may add labels of
// the controller's.
func (o *owner) pod() (*patches.Pod, error) {
	raw, err := json.Marshal(corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: o.name + "-", Namespace: o.namespace, Labels: o.template.Labels, Annotations: o.template.Annotations,
			OwnerReferences: []metav1.OwnerReference{*o.reference()},
		},
		Spec: o.template.Spec,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot encode a pod of %s %s/%s: %w", o.kind, o.namespace, o.name, err)
	}

	p, err := patches.Decode(raw)
	if err == nil {
		p.Excluding = patches.Excluding(o.selector)
	}

	return p, err
}

func (o *owner) reference() *metav1.OwnerReference {
	return &metav1.OwnerReference{APIVersion: o.apiVersion, Kind: o.kind, Name: o.name, UID: o.uid, Controller: new(true)}
}

// pods are those that the controller has.
func (o *owner) pods(ctx context.Context, reader client.Reader) ([]metav1.PartialObjectMetadata, error) {
	selector, err := metav1.LabelSelectorAsSelector(o.selector)
	if err != nil {
		return nil, nil //nolint:nilerr // the API server takes no such controller
	}

	pods := &metav1.PartialObjectMetadataList{}
	pods.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))

	if err := reader.List(ctx, pods, client.InNamespace(o.namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return nil, fmt.Errorf("cannot list the pods of %s %s/%s: %w", o.kind, o.namespace, o.name, err)
	}

	return slices.DeleteFunc(pods.Items, func(pod metav1.PartialObjectMetadata) bool {
		by := metav1.GetControllerOf(&pod)

		return by == nil || by.UID != o.uid
	}), nil
}

// hasPassed tells whether a pod without the Injections of a trial was created since.
func (o *owner) hasPassed(ctx context.Context, reader client.Reader, t *trial) (bool, error) {
	pods, err := o.pods(ctx, reader)

	return slices.ContainsFunc(pods, func(pod metav1.PartialObjectMetadata) bool {
		return !t.before[pod.UID] && !pod.CreationTimestamp.Before(&t.after) && o.isWithout(&pod, t.left())
	}), err
}

// isWithout tells whether one of its pods has the record that these Injections were
// left out.
func (o *owner) isWithout(pod *metav1.PartialObjectMetadata, without []*patches.Injection) bool {
	if !o.isOfTemplate(pod.Labels) {
		return false
	}

	recorded, _ := v1alpha1.ParseRecord(pod.Annotations[v1alpha1.FailedAnnotation])
	left := map[v1alpha1.Recorded]bool{}

	for _, r := range recorded {
		left[r] = true
	}

	for _, in := range without {
		if !left[v1alpha1.Recorded{Name: in.String(), Revision: in.Revision(), Reason: string(patches.Refused)}] {
			return false
		}
	}

	return true
}
