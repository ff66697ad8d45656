//go:build audit

package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// step is one change that the churn can make.
type step struct {
	name   string
	weight int
	do     func(context.Context) error
}

// steps are all changes. Some fail now and then: they meet no object, or a newer one.
func (c *churn) steps() []step {
	return []step{
		{"edit an Injection", 6, c.edit},
		{"edit a selector", 3, c.reselect},
		{"delete an Injection, or make it again", 2, c.replace},
		{"edit a ClusterInjection", 2, c.editCluster},
		{"relabel a namespace", 2, c.relabelNamespace},
		{"opt a namespace out or in", 2, c.optNamespace},
		{"relabel a pod", 4, c.relabel},
		{"opt a pod out or in", 4, c.opt},
		{"strip a record", 4, c.strip},
		{"make a pod", 8, c.make},
		{"make a pod that opts out", 3, c.makeOut},
		{"restore a pod", 2, c.restore},
		{"delete a pod", 8, c.remove},
		{"roll out", 3, c.rollOut},
		{"scale", 4, c.scale},
		{"stop all injection for a moment", 1, c.stop},
	}
}

// draw draws a step.
func (c *churn) draw() step {
	all := c.steps()
	weights := 0
	for _, s := range all {
		weights += s.weight
	}
	at := c.dice.IntN(weights)
	for _, s := range all {
		if at -= s.weight; at < 0 {
			return s
		}
	}

	return all[0] // cannot be
}

var errNone = errors.New("there is none")

func clusterInjection(i int, team string) *v1alpha1.ClusterInjection {
	return &v1alpha1.ClusterInjection{
		ObjectMeta: metav1.ObjectMeta{Name: selectorName(i)},
		Spec: v1alpha1.ClusterInjectionSpec{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": team}},
			InjectionSpec: v1alpha1.InjectionSpec{
				Selector: &metav1.LabelSelector{}, Env: []v1alpha1.EnvVar{{Name: fmt.Sprintf("CLUSTER_%d", i), Value: "x"}},
			},
		},
	}
}

func (c *churn) namespaceName() string { return churnedName(c.dice.IntN(churned)) }
func (c *churn) app() string           { return appName(c.dice.IntN(deployments)) }
func (c *churn) team() string          { return [...]string{"a", "b"}[c.dice.IntN(2)] }

// patch merges a text into an Injection's spec.
func (c *churn) patch(ctx context.Context, o client.Object, format string, args ...any) error {
	return c.objects.Patch(ctx, o, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, format, args...)))
}

func (c *churn) injection() *v1alpha1.Injection {
	i := c.dice.IntN(selectors)

	return injection(c.namespaceName(), selectorName(i), appName(i), v1alpha1.EnvVar{Name: fmt.Sprintf("OWN_%d", i), Value: "x"})
}

func (c *churn) edit(ctx context.Context) error {
	in := c.injection()
	name := in.Spec.Env[0].Name

	return c.patch(ctx, in, `{"spec": {"env": [{"name": %q, "value": "%d"}]}}`, name, c.dice.IntN(3))
}

func (c *churn) reselect(ctx context.Context) error {
	if c.dice.IntN(3) == 0 {
		return c.patch(ctx, c.injection(), `{"spec": {"selector": {"matchLabels": null}}}`)
	}

	return c.patch(ctx, c.injection(), `{"spec": {"selector": {"matchLabels": {"app": %q}}}}`, c.app())
}

func (c *churn) replace(ctx context.Context) error {
	in := c.injection()
	if err := c.objects.Delete(ctx, in); err == nil {
		return nil
	}

	return c.objects.Create(ctx, in)
}

func (c *churn) editCluster(ctx context.Context) error {
	i := c.dice.IntN(2)
	if c.dice.IntN(2) == 0 {
		return c.patch(ctx, clusterInjection(i, ""), `{"spec": {"env": [{"name": "CLUSTER_%d", "value": "%d"}]}}`, i, c.dice.IntN(3))
	}

	return c.patch(ctx, clusterInjection(i, ""), `{"spec": {"namespaceSelector": {"matchLabels": {"team": %q}}}}`, c.team())
}

// label sets a label of a namespace, or removes it if the value is "".
func (c *churn) label(ctx context.Context, namespace, key, value string) error {
	_, err := c.api.CoreV1().Namespaces().Patch(ctx, namespace, types.MergePatchType, labelPatch(key, value), byHand())

	return err
}

func labelPatch(key, value string) []byte {
	text := fmt.Sprintf("%q", value)
	if value == "" {
		text = "null"
	}

	return fmt.Appendf(nil, `{"metadata": {"labels": {%q: %s}}}`, key, text)
}

func (c *churn) relabelNamespace(ctx context.Context) error {
	return c.label(ctx, c.namespaceName(), "team", [...]string{"a", "b", ""}[c.dice.IntN(3)])
}

func (c *churn) optNamespace(ctx context.Context) error {
	return c.label(ctx, c.namespaceName(), v1alpha1.InjectLabel, [...]string{v1alpha1.Disabled, "", ""}[c.dice.IntN(3)])
}

// byHand has a change made by another manager of fields than the object. Then an edit
// that only removes something leaves no time.
func byHand() metav1.PatchOptions { return metav1.PatchOptions{FieldManager: "kubectl-edit"} }

// patchPod merges a text into a pod that is drawn.
func (c *churn) patchPod(ctx context.Context, patch func(*corev1.Pod) []byte) error {
	pod := c.pod(ctx)
	if pod == nil {
		return errNone
	}
	_, err := c.api.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch(pod), byHand())

	return err
}

func (c *churn) relabel(ctx context.Context) error {
	app := c.app()
	if c.dice.IntN(4) == 0 {
		app = ""
	}

	return c.patchPod(ctx, func(*corev1.Pod) []byte { return labelPatch("app", app) })
}

func (c *churn) opt(ctx context.Context) error {
	return c.patchPod(ctx, func(pod *corev1.Pod) []byte {
		if pod.Labels[v1alpha1.InjectLabel] == "" {
			return labelPatch(v1alpha1.InjectLabel, v1alpha1.Disabled)
		}

		return labelPatch(v1alpha1.InjectLabel, "")
	})
}

func (c *churn) strip(ctx context.Context) error {
	return c.patchPod(ctx, func(*corev1.Pod) []byte {
		return fmt.Appendf(nil, `{"metadata": {"annotations": {%q: null, %q: null}}}`, v1alpha1.InjectedAnnotation, v1alpha1.FailedAnnotation)
	})
}

func (c *churn) bare() *corev1.Pod {
	c.made++

	return podOf(c.namespaceName(), fmt.Sprintf("bare-%d", c.made), c.app(), nodeName(c.dice.IntN(c.nodes)))
}

func (c *churn) create(ctx context.Context, pod *corev1.Pod) error {
	_, err := c.api.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})

	return err
}

func (c *churn) make(ctx context.Context) error { return c.create(ctx, c.bare()) }

func (c *churn) makeOut(ctx context.Context) error {
	pod := c.bare()
	pod.Labels[v1alpha1.InjectLabel] = v1alpha1.Disabled

	return c.create(ctx, pod)
}

// restore creates a pod from what another one is, as a backup does.
func (c *churn) restore(ctx context.Context) error {
	old := c.pod(ctx)
	if old == nil {
		return errNone
	}
	pod := c.bare()
	pod.Namespace, pod.Labels, pod.Annotations, pod.Spec = old.Namespace, old.Labels, old.Annotations, old.Spec

	return c.create(ctx, pod)
}

func (c *churn) remove(ctx context.Context) error {
	pod := c.pod(ctx)
	if pod == nil {
		return errNone
	}

	return c.api.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
}

func (c *churn) rollOut(ctx context.Context) error {
	c.made++
	patch := fmt.Appendf(nil, `{"spec": {"template": {"metadata": {"annotations": {"restarted": "%d"}}}}}`, c.made)
	_, err := c.api.AppsV1().Deployments(c.namespaceName()).Patch(ctx, c.app(), types.MergePatchType, patch, metav1.PatchOptions{})

	return err
}

func (c *churn) scale(ctx context.Context) error {
	patch := fmt.Appendf(nil, `{"spec": {"replicas": %d}}`, 1+c.dice.IntN(5))
	_, err := c.api.AppsV1().Deployments(c.namespaceName()).Patch(ctx, c.app(), types.MergePatchType, patch, metav1.PatchOptions{})

	return err
}

// stop has an administrator stop all injection for a moment, in which a pod is made.
func (c *churn) stop(ctx context.Context) error {
	const name, moment = "telltale-stop", time.Second
	maps := c.api.CoreV1().ConfigMaps("telltale-system")
	if _, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	<-time.After(moment)

	return errors.Join(c.make(ctx), maps.Delete(ctx, name, metav1.DeleteOptions{}))
}
