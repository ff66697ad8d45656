//go:build audit

package audit

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/harness"
)

// variable is the env var that each Injection of these tests adds. A pod without it
// has none of them.
const variable = "TELLTALE_WAS_HERE"

// podOf is a pod on a node of kwok, of an ordinary size.
func podOf(namespace, name, app, node string) *corev1.Pod {
	few := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi")}
	env := make([]corev1.EnvVar, 0, 12)
	for i := range cap(env) {
		env = append(env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", i), Value: "the value of a setting"})
	}

	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: map[string]string{"app": app, "app.kubernetes.io/part-of": "shop"}},
		Spec: corev1.PodSpec{
			NodeName: node,
			Containers: []corev1.Container{
				{
					Name: "app", Image: "registry.example/shop/" + app + ":1.2.3", Env: env,
					Resources:    corev1.ResourceRequirements{Requests: few, Limits: few},
					Ports:        []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
					VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
				},
				{Name: "proxy", Image: "registry.example/proxy:4.5.6", Env: env[:2], Resources: corev1.ResourceRequirements{Requests: few, Limits: few}},
			},
			Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		},
	}
}

// deployment is an app whose pods run on the nodes of kwok, without a scheduler.
func deployment(namespace, app string, replicas int, node string) *appsv1.Deployment {
	pod := podOf(namespace, "", app, node)

	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: app, Namespace: namespace},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(replicas)),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels}, Spec: pod.Spec},
		},
	}
}

// injection is one for the pods of an app, or, without one, for all of a namespace.
func injection(namespace, name, app string, env ...v1alpha1.EnvVar) *v1alpha1.Injection {
	selector := &metav1.LabelSelector{}
	if app != "" {
		selector.MatchLabels = map[string]string{"app": app}
	}

	return &v1alpha1.Injection{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec:       v1alpha1.InjectionSpec{Selector: selector, Env: append(env, v1alpha1.EnvVar{Name: variable, Value: "x"})},
	}
}

// deploy creates Deployments of some pods each, and waits for all their pods.
func (c *cluster) deploy(t *testing.T, namespace, prefix string, n, pods int) {
	t.Helper()
	parallel(t, n, func(ctx context.Context, i int) error {
		d := deployment(namespace, fmt.Sprintf("%s-%d", prefix, i), pods, nodeName(i%c.nodes))
		_, err := c.api.AppsV1().Deployments(namespace).Create(ctx, d, metav1.CreateOptions{})

		return err
	})
	harness.Within(t, 5*harness.Patience, "the pods of "+prefix, func(ctx context.Context) error {
		all, err := c.api.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for i := range all.Items {
			if d := &all.Items[i]; d.Status.ReadyReplicas != *d.Spec.Replicas {
				return fmt.Errorf("%d pods of %s run", d.Status.ReadyReplicas, d.Name)
			}
		}

		return nil
	})
}

// bare counts the pods of each Deployment that have nothing of any Injection.
func (c *cluster) bare(ctx context.Context, namespace string) (map[string]int, error) {
	pods, err := c.api.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	all := map[string]int{}
	for i := range pods.Items {
		if pod := &pods.Items[i]; !isInjected(pod) {
			all[pod.Labels["app"]]++
		}
	}

	return all, nil
}

func isInjected(pod *corev1.Pod) bool {
	for _, env := range pod.Spec.Containers[0].Env {
		if env.Name == variable {
			return true
		}
	}

	return false
}

// told returns the counts of the events of a reason, by the name of the object that
// they are on.
func (c *cluster) told(ctx context.Context, reason string) (map[string]int, error) {
	events, err := c.api.CoreV1().Events("").List(ctx, metav1.ListOptions{FieldSelector: "reason=" + reason})
	if err != nil {
		return nil, err
	}
	all := map[string]int{}
	for i := range events.Items {
		all[events.Items[i].InvolvedObject.Name] += int(events.Items[i].Count)
	}

	return all, nil
}

// tells waits until each object has a count of InjectionMissed, and no other has
// one.
func (c *cluster) tells(t *testing.T, want map[string]int) time.Duration {
	t.Helper()

	return harness.Eventually(t, "all that was missed is shown", func(ctx context.Context) error {
		got, err := c.told(ctx, "InjectionMissed")
		if err == nil && !maps.Equal(got, want) {
			err = fmt.Errorf("%d are shown on %d objects, want %d on %d", sum(got), len(got), sum(want), len(want))
		}

		return err
	})
}

func sum(of map[string]int) (n int) {
	for _, one := range of {
		n += one
	}

	return n
}
