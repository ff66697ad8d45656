//go:build audit

package audit

import (
	"context"
	"fmt"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/harness"
)

// inject creates Injections.
func (c *cluster) inject(t *testing.T, all ...*v1alpha1.Injection) {
	t.Helper()
	for _, in := range all {
		if err := c.objects.Create(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
}

// counts waits until the status of each Injection has the counts of a plain list of
// the pods. Without a namespace, it is for all.
func (c *cluster) counts(t *testing.T, namespace string) {
	t.Helper()
	c.shows(t, namespace, c.recount(t, namespace))
}

// shows waits until the status of each Injection has these counts.
func (c *cluster) shows(t *testing.T, namespace string, want map[types.NamespacedName]v1alpha1.PodCounts) {
	t.Helper()
	harness.Within(t, 3*harness.Patience, "the counts of the Injections", func(ctx context.Context) error {
		var all v1alpha1.InjectionList
		if err := c.objects.List(ctx, &all, client.InNamespace(namespace)); err != nil {
			return err
		}
		for i := range all.Items {
			in := &all.Items[i]
			if got, want := in.Status.Pods, want[client.ObjectKeyFromObject(in)]; got == nil || !reflect.DeepEqual(*got, want) {
				return fmt.Errorf("%s/%s has %+v, want %+v", in.Namespace, in.Name, got, want)
			}
		}

		return nil
	})
}

// recount counts the pods that there are now.
func (c *cluster) recount(t *testing.T, namespace string) map[types.NamespacedName]v1alpha1.PodCounts {
	t.Helper()
	var all v1alpha1.InjectionList
	if err := c.objects.List(t.Context(), &all, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	pods, err := c.pods(t.Context(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[types.NamespacedName]v1alpha1.PodCounts{}
	for i := range all.Items {
		counts[client.ObjectKeyFromObject(&all.Items[i])] = recount(&all.Items[i], pods[all.Items[i].Namespace])
	}

	return counts
}

// pods lists all pods, by namespace.
func (c *cluster) pods(ctx context.Context, namespace string) (map[string][]corev1.Pod, error) {
	list, err := c.api.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	by := map[string][]corev1.Pod{}
	for i := range list.Items {
		by[list.Items[i].Namespace] = append(by[list.Items[i].Namespace], list.Items[i])
	}

	return by, nil
}

// recount counts pods by their records. In these tests, pods without a record are
// missed, and nothing is taken away.
func recount(in *v1alpha1.Injection, pods []corev1.Pod) (n v1alpha1.PodCounts) {
	for i := range pods {
		pod := &pods[i]
		if !labels.SelectorFromSet(in.Spec.Selector.MatchLabels).Matches(labels.Set(pod.Labels)) {
			continue
		}
		n.Selected++
		record, _ := v1alpha1.ParseRecord(pod.Annotations[v1alpha1.InjectedAnnotation])
		revision, ok := "", false
		for _, entry := range record {
			if entry.Name == in.Name {
				revision, ok = entry.Revision, true
			}
		}
		switch {
		case !ok:
			n.Missed++
		case revision == in.Status.Revision:
			n.Injected++
		default:
			n.Outdated++
		}
	}

	return n
}
