package pods

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// isChosen tells whether the Injection has also chosen the pod of a candidate when it
// was created. Other webhooks change images and annotations after Telltale's answer,
// and people do later: so an Injection that chooses by these must choose the template
// of the controller, too. The template of a bare pod is not known.
func (q *questions) isChosen(ctx context.Context, c *candidate) (bool, error) {
	if !c.injection.ReadsContent() {
		return true, nil
	}

	template, asked := q.templates[c.failure.Owner.UID]
	if !asked {
		var err error
		if template, err = q.templateOf(ctx, c.failure.Owner); err != nil {
			return false, err
		}

		q.templates[c.failure.Owner.UID] = template
	}

	return template != nil && choosesTemplate(c.injection, template, c.failure.Owner), nil
}

// choosesTemplate tells whether an Injection chooses pods that are as a template of
// their controller has them.
func choosesTemplate(in *patches.Injection, template *corev1.PodTemplateSpec, by failure.Ref) bool {
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: by.APIVersion, Kind: by.Kind, Name: by.Name, UID: by.UID, Controller: new(true)}}

	return in.Chooses(patches.TraitsOf(pod))
}

// templateOf reads the template of a controller of pods, by one get. It is nil for
// kinds that are not Kubernetes' own, and if the controller is gone.
func (q *questions) templateOf(ctx context.Context, by failure.Ref) (*corev1.PodTemplateSpec, error) {
	var (
		object   client.Object
		template *corev1.PodTemplateSpec
	)

	switch by.APIVersion + " " + by.Kind {
	case "apps/v1 ReplicaSet":
		o := &appsv1.ReplicaSet{}
		object, template = o, &o.Spec.Template
	case "apps/v1 StatefulSet":
		o := &appsv1.StatefulSet{}
		object, template = o, &o.Spec.Template
	case "apps/v1 DaemonSet":
		o := &appsv1.DaemonSet{}
		object, template = o, &o.Spec.Template
	case "batch/v1 Job":
		o := &batchv1.Job{}
		object, template = o, &o.Spec.Template
	default:
		return nil, nil // not known
	}

	err := q.live.Get(ctx, types.NamespacedName{Namespace: by.Namespace, Name: by.Name}, object)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("cannot read the template of %s %s/%s: %w", by.Kind, by.Namespace, by.Name, err)
	}

	if object.GetUID() != by.UID {
		return nil, nil // gone, or another of this name
	}

	return template, nil
}
