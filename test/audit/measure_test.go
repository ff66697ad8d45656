//go:build audit

package audit

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/child"
	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/telltale"
)

// cpu is the time that the leader's process has used.
func (s *sized) cpu(t *testing.T) time.Duration {
	t.Helper()
	seconds, err := s.leader.Metric(t.Context(), "process_cpu_seconds_total")
	if err != nil {
		t.Fatal(err)
	}

	return time.Duration(seconds * float64(time.Second))
}

// bare is the audit's client: webhook/audit/pods.
func bare(config *rest.Config) (*corev1client.CoreV1Client, error) {
	config.QPS, config.Burst = 50, 100
	config.ContentType, config.AcceptContentTypes = "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf,application/json"

	return corev1client.NewForConfig(config)
}

// watcher is in the environment of a process that only watches: the file with its
// kubeconfig.
const watcher = "TELLTALE_TEST_BARE_WATCH"

// bareWatch starts a process that watches all pods as the audit does, and does nothing
// with them.
func (s *sized) bareWatch(t *testing.T) *child.Process {
	t.Helper()
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := controlplane.WriteKubeconfig(kubeconfig, telltale.ServiceAccount(s.ControlPlane)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), watcher+"="+kubeconfig)
	p, err := child.Start(cmd, filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)

	return p
}

// watcherCPU is the time that it has used.
func watcherCPU(t *testing.T, watcher *child.Process) time.Duration {
	t.Helper()
	used, err := child.CPU(watcher.PID())
	if err != nil {
		t.Fatal(err)
	}

	return used
}

// watchBare is that process. It ends with an error only.
func watchBare(kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	api, err := bare(config)
	if err != nil {
		return err
	}
	for {
		list, err := api.Pods("").List(context.Background(), metav1.ListOptions{Limit: 1})
		if err != nil {
			return err
		}
		w, err := api.Pods("").Watch(context.Background(), metav1.ListOptions{ResourceVersion: list.ResourceVersion, AllowWatchBookmarks: true})
		if err != nil {
			return err
		}
		for range w.ResultChan() {
		}
	}
}

// bareList lists all pods as the audit does, and does nothing with them.
func (s *sized) bareList(t *testing.T) time.Duration {
	t.Helper()
	api, err := bare(telltale.ServiceAccount(s.ControlPlane))
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	for o := (metav1.ListOptions{Limit: 250}); ; { // as webhook/audit/pods
		list, err := api.Pods("").List(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if o.Continue = list.Continue; o.Continue == "" {
			return time.Since(begun)
		}
	}
}

// writes are the times at which statuses of Injections were written.
type writes struct {
	mu sync.Mutex
	at []time.Time
}

// watchWrites notes writes until the test ends. In it, specs must not change.
func (s *sized) watchWrites(t *testing.T) *writes {
	t.Helper()
	api, err := dynamic.NewForConfig(rest.CopyConfig(s.Config))
	if err != nil {
		t.Fatal(err)
	}
	resource := api.Resource(v1alpha1.GroupVersion.WithResource("injections"))
	list, err := resource.List(t.Context(), metav1.ListOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	w, err := resource.Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.GetResourceVersion(), TimeoutSeconds: new(int64(3600))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	all := &writes{}
	go func() {
		for e := range w.ResultChan() {
			if _, ok := e.Object.(*unstructured.Unstructured); ok && e.Type == watch.Modified {
				all.mu.Lock()
				all.at = append(all.at, time.Now())
				all.mu.Unlock()
			}
		}
	}()

	return all
}

func (w *writes) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()

	return len(w.at)
}

// fastest is the most writes a second, over ten seconds.
func (w *writes) fastest() float64 {
	const window = 10 * time.Second
	w.mu.Lock()
	defer w.mu.Unlock()
	most, from := 0, 0
	for to := range w.at {
		for w.at[to].Sub(w.at[from]) > window {
			from++
		}
		most = max(most, to-from+1)
	}

	return float64(most) / window.Seconds()
}
