package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/telltale"
)

// cluster is a real API server with all of Telltale's objects, and Telltale.
type cluster struct {
	*controlplane.ControlPlane

	api      *kubernetes.Clientset // speaks protobuf, as the controllers of Kubernetes do
	objects  client.Client
	telltale *candidate
	dir      string
}

// newCluster starts a cluster in a folder. Its Telltale is not started yet.
func newCluster(ctx context.Context, o options, dir string) (*cluster, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make a folder: %w", err)
	}
	cp, err := controlplane.Start(ctx, controlplane.Options{NoControllerManager: true})
	if err != nil {
		return nil, err
	}
	c := &cluster{ControlPlane: cp, dir: dir}
	if err := c.install(ctx, o); err != nil {
		return nil, errors.Join(err, cp.Stop())
	}

	return c, nil
}

func (c *cluster) install(ctx context.Context, o options) error {
	if err := c.connect(); err != nil {
		return err
	}
	var err error
	if c.telltale, err = newTelltale(o, c.dir, telltale.ServiceAccount(c.ControlPlane)); err != nil {
		return err
	}
	if err := telltale.Install(ctx, c.ControlPlane, "config"); err != nil {
		return err
	}

	// Telltale is called for pods of its own namespace only: each candidate has
	// one.
	return telltale.Register(ctx, c.ControlPlane, c.telltale.replica.Port,
		`{"op": "add", "path": "/webhooks/0/namespaceSelector/matchExpressions/-", "value":
			{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["`+namespaceOf(subject)+`"]}}`)
}

func (c *cluster) connect() (err error) {
	fast := rest.CopyConfig(c.Config)
	fast.ContentType = runtime.ContentTypeProtobuf
	if c.api, err = kubernetes.NewForConfig(fast); err != nil {
		return fmt.Errorf("cannot make a client: %w", err)
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return fmt.Errorf("cannot build the scheme: %w", err)
	}
	if c.objects, err = client.New(c.Config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("cannot make a client: %w", err)
	}

	return nil
}

// kubectl runs kubectl with one list of arguments after the other.
func (c *cluster) kubectl(ctx context.Context, commands ...[]string) error {
	for _, args := range commands {
		if _, err := c.Kubectl(ctx, args...); err != nil {
			return err
		}
	}

	return nil
}

// stop ends Telltale and the API server.
func (c *cluster) stop() error {
	if c == nil {
		return nil
	}
	c.telltale.stop()

	return c.Stop()
}

// namespaceOf is the namespace of the pods that a candidate is asked about.
func namespaceOf(name string) string { return "bench-" + name }

func (c *cluster) createNamespace(ctx context.Context, name string, labels map[string]string) error {
	_, err := c.api.CoreV1().Namespaces().Create(ctx,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, metav1.CreateOptions{})

	return err
}

// each calls do for every number below n, a few at a time, and returns the
// errors.
func each(n int, do func(i int) error) error {
	const workers = 8
	var (
		wg   sync.WaitGroup
		next atomic.Int64
		errs [workers]error
	)
	for w := range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && errs[w] == nil; i = int(next.Add(1)) - 1 {
				errs[w] = do(i)
			}
		})
	}
	wg.Wait()

	return errors.Join(errs[:]...)
}

// port is the port of an address that we made.
func port(address string) string {
	_, port, _ := net.SplitHostPort(address)

	return port
}
