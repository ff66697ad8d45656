//go:build apiserver

package stress

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/test/controlplane"
)

// patience bounds every wait that the promise does not.
const patience = 2 * time.Minute

// home is Telltale's own namespace.
const home = "telltale-system"

// conflict fails on each of our pods. It is a ClusterInjection, so that it
// selects pods of namespaces that do not exist, too.
const conflict = `
apiVersion: telltale.dev/v1alpha1
kind: ClusterInjection
metadata: {name: stress}
spec:
  selector: {}
  env: [{name: HTTP_PROXY, value: ours}]
`

// cluster is a real control plane with all of Telltale's objects but Telltale.
// Of the controllers it has those that empty a namespace that is deleted.
type cluster struct {
	*controlplane.ControlPlane

	api *kubernetes.Clientset
	dir string
}

func newCluster(ctx context.Context, dir string, flags ...string) (*cluster, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	cp, err := controlplane.Start(ctx, controlplane.Options{
		APIServerFlags:         flags,
		ControllerManagerFlags: []string{"--controllers=namespace-controller,serviceaccount-controller"},
	})
	if err != nil {
		return nil, err
	}
	c := &cluster{ControlPlane: cp, dir: dir}
	if err := c.install(ctx); err != nil {
		return nil, errors.Join(err, cp.Stop())
	}

	return c, nil
}

func (c *cluster) install(ctx context.Context) (err error) {
	fast := rest.CopyConfig(c.Config)
	fast.ContentType = runtime.ContentTypeProtobuf
	if c.api, err = kubernetes.NewForConfig(fast); err != nil {
		return err
	}
	injection := filepath.Join(c.dir, "injection.yaml")
	if err := os.WriteFile(injection, []byte(conflict), 0o600); err != nil {
		return err
	}
	config := filepath.Join("..", "..", "config")
	for _, args := range [][]string{
		{"apply", "-k", filepath.Join(config, "overlays", "local")},
		{"apply", "-k", filepath.Join(config, "rbac")},
		{"apply", "-k", filepath.Join(config, "authority")},
		{"wait", "--for=condition=Established", "crds", "--all"},
		{"apply", "-f", injection},
	} {
		if _, err := c.Kubectl(ctx, args...); err != nil {
			return err
		}
	}

	return nil
}

// ownCluster is one for a scenario alone, whose API server has flags.
func ownCluster(t *testing.T, flags ...string) *cluster {
	t.Helper()
	c, err := newCluster(t.Context(), t.TempDir(), flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})

	return c
}

// namespace makes one.
func (c *cluster) namespace(t *testing.T) string {
	t.Helper()
	ns, err := c.api.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "stress-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}

	return ns.Name
}

// authority returns Telltale's CA, by which we know that we talk to it.
func (c *cluster) authority(ctx context.Context) (*x509.CertPool, error) {
	secret, err := c.api.CoreV1().Secrets(home).Get(ctx, "telltale-ca", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(secret.Data[corev1.TLSCertKey]) {
		return nil, errors.New("the Secret telltale-ca has no certificate")
	}

	return pool, nil
}

// eventually waits for a condition, at most for a limit, and says what it last
// saw if it never comes. It returns how long that took.
func eventually(t *testing.T, limit time.Duration, what string, condition func(context.Context) error) time.Duration {
	t.Helper()
	var last error
	start := time.Now()
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, limit, true,
		func(ctx context.Context) (bool, error) {
			last = condition(ctx)

			return last == nil, nil
		})
	if err != nil {
		t.Fatalf("%s: not within %v: %v", what, limit, last)
	}

	return time.Since(start)
}

// want is an error unless a figure is what it must be.
func want[T comparable](what string, got, wanted T) error {
	if got != wanted {
		return fmt.Errorf("%s: %v, want %v", what, got, wanted)
	}

	return nil
}
