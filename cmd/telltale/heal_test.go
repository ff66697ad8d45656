//go:build apiserver

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/harness"
)

// TestHeal has pods created while Telltale is away. It evicts them, one of an owner at
// a time, and keeps to a PodDisruptionBudget. While the API server does not ask it, it
// evicts none.
func TestHeal(t *testing.T) {
	t.Parallel()

	c := &auditCase{cluster: startCluster(t)}
	port := harness.FreePort(t)
	c.install(t, port)
	c.kubectl(t, "apply", "-f", "../../config/components/heal/role.yaml", "-f", "../../config/components/heal/role_binding.yaml")

	r := c.launch(t, port, "--heal=missed", "--heal-per-minute=6000", "--canary-interval=2s")
	c.replicas = append(c.replicas, r)
	c.audits(t)
	c.apply(t, strings.Replace(envInjection("proxy", "x", "PROXY", "x"), "{matchLabels: {app: x}}", "{}", 1))
	c.inForce(t)

	r.Kill()
	c.apply(t, deployment("web", 3)+budget+`---
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: shop}
spec:
  template:
    `+podTemplate("once", "Never"))
	c.kubectl(t, "run", "bare", "-n", "shop", "--image=x")
	c.hasPods(t, "web", 3)
	c.hasPods(t, "once", 1)

	k := newKubelet(t, c)
	k.ready(t, "web", 3)
	k.ready(t, "once", 1)

	before := c.uids(t)

	harness.Start(t, r)
	k.heals(t, "web", 3)
	c.tells(t, "InjectionMissed", map[string]int{"Deployment/web": 3, "Job/once": 1, "Pod/bare": 1})
	c.tells(t, "InjectionHealed", map[string]int{"Deployment/web": 3})
	c.tells(t, "InjectionRestored", map[string]int{"Deployment/web": 1})
	c.output(t, `: it was created without Injection "proxy". Its replacement gets it.`, "describe", "deployment", "web", "-n", "shop")

	for name, uid := range before {
		if after := c.uids(t)[name]; !strings.HasPrefix(name, "web-") && after != uid {
			t.Errorf("pod %s was evicted", name)
		}
	}

	// The API server does not ask: nothing is evicted.
	c.kubectl(t, "delete", "mutatingwebhookconfiguration", "telltale")
	c.notAsked(t)
	c.apply(t, deployment("gap", 2))
	c.hasPods(t, "gap", 2)
	k.ready(t, "gap", 2)

	before = c.uids(t)

	c.tells(t, "InjectionMissed", map[string]int{"Deployment/web": 3, "Job/once": 1, "Pod/bare": 1, "Deployment/gap": 2})
	time.Sleep(10 * time.Second) // two of its rounds
	c.uidsAre(t, before)

	c.sync(t, port)
	k.heals(t, "gap", 2)
	c.tells(t, "InjectionHealed", map[string]int{"Deployment/web": 3, "Deployment/gap": 2})
}

// budget lets one pod of web be away.
const budget = `---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: shop}
spec: {minAvailable: 2, selector: {matchLabels: {app: web}}}
`

// uids are those of all pods, by name.
func (c *auditCase) uids(t *testing.T) map[string]string {
	t.Helper()

	all := map[string]string{}
	for line := range strings.Lines(c.kubectl(t, "get", "pods", "-n", "shop", "-o", `jsonpath={range .items[*]}{.metadata.name} {.metadata.uid}{"\n"}{end}`)) {
		name, uid, _ := strings.Cut(strings.TrimSpace(line), " ")
		all[name] = uid
	}

	return all
}

func (c *auditCase) uidsAre(t *testing.T, want map[string]string) {
	t.Helper()

	for name, uid := range c.uids(t) {
		if want[name] != uid {
			t.Errorf("pod %s is new", name)
		}
	}
}

// kubelet writes the status that one would.
type kubelet struct{ api client.Client }

func newKubelet(t *testing.T, c *auditCase) *kubelet {
	t.Helper()

	return &kubelet{clientFor(t, c.Config)}
}

func (k *kubelet) pods(ctx context.Context, app string) ([]corev1.Pod, error) {
	var list corev1.PodList
	err := k.api.List(ctx, &list, client.InNamespace("shop"), client.MatchingLabels{"app": app})

	return list.Items, err
}

// ready makes the pods of an app ready, as many as there shall be.
func (k *kubelet) ready(t *testing.T, app string, want int) {
	t.Helper()
	harness.Eventually(t, "ready pods", func(ctx context.Context) error {
		pods, err := k.pods(ctx, app)

		for i := range pods {
			err = errors.Join(err, k.run(ctx, &pods[i]))
		}

		if err == nil && len(pods) != want {
			err = fmt.Errorf("%d pods", len(pods))
		}

		return err
	})
}

// run has a pod run.
func (k *kubelet) run(ctx context.Context, pod *corev1.Pod) error {
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}

	return k.api.Status().Update(ctx, pod)
}

// heals waits until all pods of an app are injected and ready, and has each new one run
// after a while. At no time is more than one away.
func (k *kubelet) heals(t *testing.T, app string, replicas int) {
	t.Helper()

	seen := map[string]time.Time{} // when each was first seen that is not ready

	harness.Eventually(t, "healed pods", func(ctx context.Context) error {
		pods, err := k.pods(ctx, app)
		if err != nil {
			return err
		}

		ready, injected := 0, 0

		for i := range pods {
			p := &pods[i]
			switch {
			case isReady(p):
				ready++
			case seen[p.Name].IsZero():
				seen[p.Name] = time.Now()
			case time.Since(seen[p.Name]) > time.Second:
				_ = k.run(ctx, p) // it may be gone
			}

			if p.Annotations[v1alpha1.InjectedAnnotation] != "" {
				injected++
			}
		}

		if ready < replicas-1 {
			t.Errorf("%d of %d pods are ready", ready, replicas)
		}

		if ready < replicas || injected < replicas {
			return fmt.Errorf("%d ready, %d injected, of %d", ready, injected, replicas)
		}

		return nil
	})
}

func isReady(p *corev1.Pod) bool {
	return len(p.Status.Conditions) > 0 && p.Status.Conditions[0].Type == corev1.PodReady && p.Status.Conditions[0].Status == corev1.ConditionTrue
}
