//go:build audit

package audit

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/child"
	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// cluster is a real control plane with nodes of kwok, all of Telltale's objects,
// and Telltales behind one address.
type cluster struct {
	*controlplane.ControlPlane

	api      *kubernetes.Clientset
	objects  client.Client
	balancer *harness.Balancer
	replicas []*telltale.Replica
	nodes    int
	dir      string
}

// fastControllers lets controllers create hundreds of pods a second. By default, it
// is 20.
func fastControllers() controlplane.Options {
	return controlplane.Options{
		// The API server knows the endpoints of a Service, as kube-proxy does.
		APIServerFlags:         []string{"--enable-aggregator-routing"},
		ControllerManagerFlags: []string{"--kube-api-qps=500", "--kube-api-burst=1000", "--concurrent-deployment-syncs=20", "--concurrent-replicaset-syncs=20"},
	}
}

// newCluster starts a cluster. The replicas of Telltale are not started.
func newCluster(t *testing.T, o controlplane.Options, nodes, replicas int) *cluster {
	t.Helper()
	c := &cluster{ControlPlane: harness.ControlPlane(t, o), nodes: nodes, dir: t.TempDir()}
	fast := rest.CopyConfig(c.Config)
	fast.ContentType = runtime.ContentTypeProtobuf
	scheme := runtime.NewScheme()
	var failed [3]error
	failed[0] = v1alpha1.AddToScheme(scheme)
	c.api, failed[1] = kubernetes.NewForConfig(fast)
	c.objects, failed[2] = client.New(c.Config, client.Options{Scheme: scheme})
	if err := errors.Join(failed[:]...); err != nil {
		t.Fatal(err)
	}
	c.balancer = harness.Balance(t)
	if err := telltale.Install(t.Context(), c.ControlPlane, "../../config"); err != nil {
		t.Fatal(err)
	}
	c.register(t)
	for range replicas {
		r := harness.Replica(t, telltale.Options{Program: program, Config: telltale.ServiceAccount(c.ControlPlane), Dir: c.dir})
		c.replicas = append(c.replicas, r)
		c.balancer.Add(r.Port)
	}
	c.startNodes(t)

	return c
}

// register makes the API server call the replicas.
func (c *cluster) register(t *testing.T) {
	t.Helper()
	if err := telltale.Register(t.Context(), c.ControlPlane, c.balancer.Port); err != nil {
		t.Fatal(err)
	}
}

// startNodes starts kwok, which has pods run on the nodes.
func (c *cluster) startNodes(t *testing.T) {
	t.Helper()
	if *kwok == "" {
		t.Fatal("-kwok names no folder: run this through make audit")
	}
	parallel(t, c.nodes, func(ctx context.Context, i int) error {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName(i), Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"}}}
		_, err := c.api.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})

		return err
	})
	p, err := child.Start(exec.Command(filepath.Join(*kwok, "kwok"), "--kubeconfig="+c.KubeconfigPath, "--manage-all-nodes",
		"--config="+filepath.Join(*kwok, "stages.yaml"), "--node-lease-duration-seconds=40", "-v=WARN"), filepath.Join(c.dir, "kwok.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the end of kwok's log:\n%s", p.Tail())
		}
	})
}

func nodeName(i int) string { return fmt.Sprintf("node-%d", i) }

// start starts all replicas that do not run.
func (c *cluster) start(t *testing.T) {
	t.Helper()
	for _, r := range c.replicas {
		if r.Process == nil || r.State() != nil {
			harness.Start(t, r)
		}
	}
}

// kill kills all replicas.
func (c *cluster) kill() {
	for _, r := range c.replicas {
		r.Kill()
	}
}

// audits waits until a leader has looked at all pods, and returns it.
func (c *cluster) audits(t *testing.T) (leader *telltale.Replica) {
	t.Helper()
	harness.Within(t, 10*harness.Patience, "an audit", func(ctx context.Context) (err error) {
		for _, r := range c.replicas {
			if _, err = r.Metric(ctx, "telltale_audit_first_pass_seconds"); err == nil {
				leader = r

				return nil
			}
		}

		return err
	})

	return leader
}

// ready waits until all replicas are ready.
func (c *cluster) ready(t *testing.T) {
	t.Helper()
	for _, r := range c.replicas {
		harness.WaitReady(t, r)
	}
}

// asked waits until the API server asks Telltale about pods, or does not. Then the
// Injections of the namespace must select pods of the app.
func (c *cluster) asked(t *testing.T, want bool, namespace, app string) {
	t.Helper()
	pod := podOf(namespace, "asked", app, nodeName(0))
	harness.Eventually(t, fmt.Sprintf("Telltale is asked: %v", want), func(ctx context.Context) error {
		got, err := c.api.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && (got.Annotations[v1alpha1.InjectedAnnotation] != "") != want {
			err = fmt.Errorf("its record is %q", got.Annotations[v1alpha1.InjectedAnnotation])
		}

		return err
	})
}

func (c *cluster) namespace(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	if _, err := c.api.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// inForce waits until all Injections are in force for so long that pods made now
// are known to be younger.
func (c *cluster) inForce(t *testing.T) {
	t.Helper()
	const apart = 7 * time.Second // more than two clocks may be
	harness.Eventually(t, "all Injections are in force", func(ctx context.Context) error {
		var all v1alpha1.InjectionList
		if err := c.objects.List(ctx, &all); err != nil {
			return err
		}
		for i := range all.Items {
			in := &all.Items[i]
			if s := in.Status; s.ObservedGeneration != in.Generation || s.Since == nil || time.Since(s.Since.Time) < apart {
				return fmt.Errorf("not yet: %s", in.Name)
			}
		}

		return nil
	})
}

// parallel calls a function for each of n numbers, 16 at a time.
func parallel(t *testing.T, n int, do func(ctx context.Context, i int) error) {
	t.Helper()
	const workers = 16
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(workers)
	for i := range n {
		group.Go(func() error { return do(ctx, i) })
	}
	if err := group.Wait(); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}
