//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/harness"
)

func TestRollout(t *testing.T) {
	r := begin(t, "Telltale rolled to a new image", "every pod injected, edits take effect")
	install(t, tree("config", "default"), *image)
	s := flow(t, "rollout")
	kubectl(t, "set", "image", "-n", "telltale-system", "deployment/telltale", "telltale="+*next)
	rolledOut(t, "telltale-system", "telltale")
	two(t)
	s.end(r, prompt)
	r.complete(t)
}

func TestKilled(t *testing.T) {
	r := begin(t, "one replica killed -9", "no pod refused; none missed once its Service has heard, within 15 s")
	install(t, tree("config", "default"), *next)
	s := flow(t, "killed")
	at := time.Now()
	kill(t, two(t)[:1])
	ready := time.Since(at)
	s.goOn(heard)
	s.end(r, prompt)
	r.note("ready again after %.0f s", ready.Seconds())
	if late := s.missedAfter(at.Add(heard)); late > 0 {
		t.Errorf("%d pods are not injected that were created %v later and more", late, heard)
	}
}

func TestAllKilled(t *testing.T) {
	r := begin(t, "all replicas killed -9", "no pod refused; each that was missed is shown on its owner")
	install(t, tree("config", "default"), *next)
	s := flow(t, "all-killed")
	apply(t, fmt.Sprintf(steady, s.namespace))
	harness.Eventually(t, "the Injection is in force", func(ctx context.Context) error {
		return node.injects(ctx, s.namespace, "steady")
	})
	s.goOn(10 * time.Second) // pods must be younger than the Injection, by more than clocks differ
	kill(t, two(t))

	want := 0
	for _, p := range s.all() {
		if p.Annotations[v1alpha1.InjectedAnnotation] == "" {
			want++
		}
	}
	if want == 0 {
		t.Error("no pod was missed: that is no test")
	}
	took := harness.Eventually(t, "each missed pod is shown", func(ctx context.Context) error {
		return s.shows(ctx, want)
	})
	r.note("all %d are shown, %.0f s after the replicas are back", want, took.Seconds())
	s.end(r, prompt)
}

// shows is an error unless the owners of the pods have events that so many were
// missed.
func (s *stream) shows(ctx context.Context, want int) error {
	var events corev1.EventList
	if err := node.api.List(ctx, &events, client.InNamespace(s.namespace)); err != nil {
		return err
	}
	got := 0
	for i := range events.Items {
		if e := &events.Items[i]; e.Reason == "InjectionMissed" && strings.HasPrefix(e.Message, `Injection "steady"`) {
			got += int(e.Count)
		}
	}
	if got != want {
		return fmt.Errorf("%d are shown of %d", got, want)
	}

	return nil
}

// steady is an Injection that is never edited.
const steady = `
apiVersion: telltale.dev/v1alpha1
kind: Injection
metadata: {name: steady, namespace: %s}
spec:
  selector: {matchLabels: {app: stream}}
  env: [{name: E2E_STEADY, value: "0"}]
`

// kill kills the processes of pods at once, and waits until they are ready again.
func kill(t *testing.T, pods []corev1.Pod) {
	t.Helper()
	for i := range pods {
		_, id, _ := strings.Cut(pods[i].Status.ContainerStatuses[0].ContainerID, "://")
		onNode(t, "node", "ctr", "--namespace=k8s.io", "tasks", "kill", "--signal=SIGKILL", id)
	}
	for i := range pods {
		restarts := pods[i].Status.ContainerStatuses[0].RestartCount
		harness.Eventually(t, "it runs again", func(ctx context.Context) error {
			var p corev1.Pod
			if err := node.api.Get(ctx, client.ObjectKeyFromObject(&pods[i]), &p); err != nil {
				return err
			}
			if status := p.Status.ContainerStatuses[0]; status.RestartCount == restarts || !status.Ready {
				return fmt.Errorf("it was started again %d times, ready %t", status.RestartCount, status.Ready)
			}

			return nil
		})
	}
}

// heard is the time in which a Service stops sending connections to a replica that
// has ended. Mostly it takes a second; the rest is for a busy machine.
const heard = 15 * time.Second

func TestNodeRestart(t *testing.T) {
	r := begin(t, "containerd and kubelet restarted", "every pod injected, edits take effect")
	install(t, tree("config", "default"), *next)
	s := flow(t, "node-restart")
	onNode(t, "restart", "containerd", "kubelet")
	s.goOn(10 * time.Second)
	s.end(r, prompt)
	r.complete(t)
}

func TestAPIServerRestart(t *testing.T) {
	r := begin(t, "the API server restarted", "every pod injected, edits take effect")
	install(t, tree("config", "default"), *next)
	s := flow(t, "api-restart")
	start := time.Now()
	onNode(t, "restart", "kube-apiserver")
	r.note("away for %.0f s", time.Since(start).Seconds())
	s.comes(time.Now())
	s.goOn(15 * time.Second)
	s.end(r, 75*time.Second) // the watch of Injections is tried again less and less often, in the end every 30 to 60 s
	r.complete(t)
}
