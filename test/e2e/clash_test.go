//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/harness"
)

// clash is a steady flow of bare pods, each of which has a conflict with an
// Injection. The event of a bare pod is on the pod itself, once a replica has read
// there that the Injection failed: so each replica must read the other's records.
type clash struct {
	namespace string
	stop      context.CancelFunc
	done      sync.WaitGroup
}

const clashing = `
apiVersion: telltale.dev/v1alpha1
kind: Injection
metadata: {name: clash, namespace: %s}
spec:
  selector: {matchLabels: {app: clash}}
  env: [{name: E2E_CLASH, value: ours}]
`

// clashes starts the flow in a namespace of its own. No node takes the pods.
func clashes(t *testing.T, namespace string) *clash {
	t.Helper()
	kubectl(t, "create", "namespace", namespace)
	apply(t, fmt.Sprintf(clashing, namespace))
	ctx, cancel := context.WithCancel(t.Context())
	c := &clash{namespace: namespace, stop: cancel}
	t.Cleanup(cancel)
	harness.Eventually(t, "the conflict", func(ctx context.Context) error {
		probe := c.pod("probe")
		err := node.api.Create(ctx, probe, client.DryRunAll)
		if failed := probe.Annotations[v1alpha1.FailedAnnotation]; err == nil && failed == "" {
			err = fmt.Errorf("the pod's annotations are %v", probe.Annotations)
		}

		return err
	})
	c.done.Go(func() {
		each(ctx, time.Second, func(i int) { _ = node.api.Create(ctx, c.pod(fmt.Sprintf("clash-%d", i))) })
	})

	return c
}

func (c *clash) pod(name string) *corev1.Pod {
	p := pod(c.namespace)
	p.GenerateName, p.Name, p.Labels = "", name, map[string]string{"app": "clash"}
	p.Spec.NodeSelector = map[string]string{"telltale.dev/no": "node"}
	p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "E2E_CLASH", Value: "own"}}

	return p
}

// end ends the flow. Each pod must have a record and its event, and there must be
// records of both versions: with a revision, and without.
func (c *clash) end(t *testing.T, r *row) {
	t.Helper()
	c.stop()
	c.done.Wait()
	var pods corev1.PodList
	harness.Eventually(t, "a list of the pods", func(ctx context.Context) error {
		return node.api.List(ctx, &pods, client.InNamespace(c.namespace), client.MatchingLabels{"app": "clash"})
	})
	plain, revised := 0, 0
	for i := range pods.Items {
		switch record := pods.Items[i].Annotations[v1alpha1.FailedAnnotation]; {
		case strings.HasPrefix(record, "clash@"):
			revised++
		case strings.HasPrefix(record, "clash="):
			plain++
		default:
			t.Errorf("pod %s has the record %q", pods.Items[i].Name, record)
		}
	}
	if plain == 0 || revised == 0 {
		t.Errorf("%d records have no revision, and %d have one: that is no test", plain, revised)
	}
	harness.Within(t, 2*harness.Patience, "each pod has its event", func(ctx context.Context) error {
		return c.told(ctx, pods.Items)
	})
	kubectl(t, "delete", "namespace", c.namespace, "--wait=false")
	r.note("%d conflicts of bare pods with a record of one version, %d of the other, each told on its pod", plain, revised)
}

// told is an error unless there is an event for each of the pods.
func (c *clash) told(ctx context.Context, pods []corev1.Pod) error {
	var events corev1.EventList
	if err := node.api.List(ctx, &events, client.InNamespace(c.namespace)); err != nil {
		return err
	}
	has := map[string]bool{}
	for i := range events.Items {
		if e := &events.Items[i]; e.Reason == "InjectionConflict" && e.InvolvedObject.Kind == "Pod" {
			has[e.InvolvedObject.Name] = true
		}
	}
	for i := range pods {
		if !has[pods[i].Name] {
			return fmt.Errorf("%d of %d pods have an event; %s has none", len(has), len(pods), pods[i].Name)
		}
	}

	return nil
}
