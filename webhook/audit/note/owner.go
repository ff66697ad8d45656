package note

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// OwnerOf returns the object that events about the pods of a controller are on: the
// Deployment of a ReplicaSet, the CronJob of a Job, else the controller itself, also
// if it is gone. It needs the verb get on these.
func OwnerOf(ctx context.Context, reader client.Reader, controller failure.Ref) (failure.Ref, error) {
	kind := schema.FromAPIVersionAndKind(controller.APIVersion, controller.Kind)
	if kind.Group != "apps" && kind.Group != "batch" {
		return controller, nil
	}

	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(kind)

	err := reader.Get(ctx, types.NamespacedName{Namespace: controller.Namespace, Name: controller.Name}, o)
	if err != nil && !apierrors.IsNotFound(err) {
		return failure.Ref{}, fmt.Errorf("cannot read %s: %w", controller, err)
	}

	by := metav1.GetControllerOf(o)
	if by == nil || o.UID != controller.UID {
		return controller, nil
	}

	return failure.Ref{APIVersion: by.APIVersion, Kind: by.Kind, Namespace: controller.Namespace, Name: by.Name, UID: by.UID}, nil
}
