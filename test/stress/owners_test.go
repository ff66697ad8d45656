//go:build apiserver

package stress

import (
	"context"
	"fmt"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// owner is a pod's controller, as a review names it, and the object that must show
// its failures.
type owner struct {
	apiVersion, kind, namespace, name string
	uid                               types.UID
	shownOn                           types.UID
}

// parallel calls f with 0 to n-1, several at the same time, and fails the test if f
// fails.
func parallel(t *testing.T, n int, f func(ctx context.Context, i int) error) {
	t.Helper()
	const workers = 16
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n && !t.Failed(); i += workers {
				if err := f(t.Context(), i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// deployments creates n Deployments, each with a ReplicaSet, and returns those.
func (c *cluster) deployments(t *testing.T, namespace string, n int) []owner {
	t.Helper()
	owners := make([]owner, n)
	parallel(t, n, func(ctx context.Context, i int) error {
		d, err := c.deployment(ctx, namespace, fmt.Sprintf("web-%d", i))
		if err != nil {
			return err
		}
		owners[i], err = c.replicaSet(ctx, namespace, d.Name+"-1", d)

		return err
	})

	return owners
}

// rollout makes one Deployment with n ReplicaSets.
func (c *cluster) rollout(t *testing.T, namespace string, n int) []owner {
	t.Helper()
	d, err := c.deployment(t.Context(), namespace, "web")
	if err != nil {
		t.Fatal(err)
	}
	owners := make([]owner, n)
	parallel(t, n, func(ctx context.Context, i int) (err error) {
		owners[i], err = c.replicaSet(ctx, namespace, fmt.Sprintf("web-%d", i), d)

		return err
	})

	return owners
}

func (c *cluster) deployment(ctx context.Context, namespace, name string) (*appsv1.Deployment, error) {
	none := int32(0)
	labels := map[string]string{"app": name}

	return c.api.AppsV1().Deployments(namespace).Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &none, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template(labels),
		},
	}, metav1.CreateOptions{})
}

// replicaSet creates a ReplicaSet, of a Deployment or without an owner.
func (c *cluster) replicaSet(ctx context.Context, namespace, name string, of *appsv1.Deployment) (owner, error) {
	none := int32(0)
	labels := map[string]string{"app": name}
	rs := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: &none, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template(labels),
		},
	}
	if of != nil {
		rs.OwnerReferences = []metav1.OwnerReference{
			*metav1.NewControllerRef(of, appsv1.SchemeGroupVersion.WithKind("Deployment")),
		}
	}
	rs, err := c.api.AppsV1().ReplicaSets(namespace).Create(ctx, rs, metav1.CreateOptions{})
	if err != nil {
		return owner{}, err
	}
	o := owner{apiVersion: "apps/v1", kind: "ReplicaSet", namespace: namespace, name: name, uid: rs.UID, shownOn: rs.UID}
	if of != nil {
		o.shownOn = of.UID
	}

	return o, nil
}

func template(labels map[string]string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "registry.example/app:1"}}},
	}
}
