// Package own finds Telltale's own Deployment. Events that are about Telltale
// itself, and about no pod of a user, are on it.
package own

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Deployment returns the controller of our pod's ReplicaSet, with the uid that
// kubectl describe needs. If a pod has no such controllers, it is the last of
// them, or the pod itself. It needs the verb get on pods and replicasets.
func Deployment(ctx context.Context, reader client.Reader, namespace, pod string) (corev1.ObjectReference, error) {
	ref := corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: namespace, Name: pod}

	for _, kind := range []string{"Pod", "ReplicaSet"} {
		if ref.Kind != kind {
			break
		}

		var o metav1.PartialObjectMetadata
		o.SetGroupVersionKind(schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind))

		if err := reader.Get(ctx, client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}, &o); err != nil {
			return ref, fmt.Errorf("cannot find Telltale's own Deployment: %w", err)
		}

		ref.UID = o.UID
		if c := metav1.GetControllerOf(&o); c != nil {
			ref.APIVersion, ref.Kind, ref.Name, ref.UID = c.APIVersion, c.Kind, c.Name, c.UID
		}
	}

	return ref, nil
}
