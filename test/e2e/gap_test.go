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
	pods := two(t)
	_, id, _ := strings.Cut(pods[0].Status.ContainerStatuses[0].ContainerID, "://")
	at, restarts := time.Now(), pods[0].Status.ContainerStatuses[0].RestartCount
	onNode(t, "node", "ctr", "--namespace=k8s.io", "tasks", "kill", "--signal=SIGKILL", id)
	harness.Eventually(t, "it runs again", func(ctx context.Context) error {
		var p corev1.Pod
		if err := node.api.Get(ctx, client.ObjectKeyFromObject(&pods[0]), &p); err != nil {
			return err
		}
		if status := p.Status.ContainerStatuses[0]; status.RestartCount == restarts || !status.Ready {
			return fmt.Errorf("it was started again %d times, ready %t", status.RestartCount, status.Ready)
		}

		return nil
	})
	ready := time.Since(at)
	s.goOn(heard)
	s.end(r, prompt)
	r.note("ready again after %.0f s", ready.Seconds())
	if late := s.missedAfter(at.Add(heard)); late > 0 {
		t.Errorf("%d pods are not injected that were created %v later and more", late, heard)
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
	s.goOn(15 * time.Second)
	s.end(r, 30*time.Second) // the watch of Injections is tried again less and less often, in the end every 30 s
	r.complete(t)
}
