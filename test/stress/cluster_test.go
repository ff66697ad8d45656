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

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

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

// cluster is a real control plane with all of Telltale's objects but Telltale. It
// has only the controllers that empty a deleted namespace.
type cluster struct {
	*controlplane.ControlPlane

	api *kubernetes.Clientset
}

// options are those of a cluster with flags for its API server.
func options(flags ...string) controlplane.Options {
	return controlplane.Options{
		APIServerFlags:         flags,
		ControllerManagerFlags: []string{"--controllers=namespace-controller,serviceaccount-controller"},
	}
}

func newCluster(ctx context.Context, cp *controlplane.ControlPlane, dir string) (*cluster, error) {
	fast := rest.CopyConfig(cp.Config)
	fast.ContentType = runtime.ContentTypeProtobuf
	api, err := kubernetes.NewForConfig(fast)
	if err != nil {
		return nil, err
	}
	injection := filepath.Join(dir, "injection.yaml")
	if err := os.WriteFile(injection, []byte(conflict), 0o600); err != nil {
		return nil, err
	}
	if err := telltale.Install(ctx, cp, "../../config"); err != nil {
		return nil, err
	}
	_, err = cp.Kubectl(ctx, "apply", "-f", injection)

	return &cluster{ControlPlane: cp, api: api}, err
}

// ownCluster is a cluster for one scenario alone, with flags for its API server.
func ownCluster(t *testing.T, flags ...string) *cluster {
	t.Helper()
	c, err := newCluster(t.Context(), harness.ControlPlane(t, options(flags...)), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}

	return c
}

// namespace creates a namespace.
func (c *cluster) namespace(t *testing.T) string {
	t.Helper()
	ns, err := c.api.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "stress-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}

	return ns.Name
}

// authority returns Telltale's CA, so that we know that we talk to Telltale.
func (c *cluster) authority(ctx context.Context) (*x509.CertPool, error) {
	secret, err := c.api.CoreV1().Secrets("telltale-system").Get(ctx, "telltale-ca", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(secret.Data[corev1.TLSCertKey]) {
		return nil, errors.New("the Secret telltale-ca has no certificate")
	}

	return pool, nil
}

// want is an error unless a figure is as wanted.
func want[T comparable](what string, got, wanted T) error {
	if got != wanted {
		return fmt.Errorf("%s: %v, want %v", what, got, wanted)
	}

	return nil
}
