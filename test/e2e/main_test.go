//go:build e2e

package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// hack/e2e/run sets these flags. The images are on the node.
var (
	script      = flag.String("cluster", "../../hack/cluster/cluster", "the script that runs the cluster")
	image       = flag.String("image", "telltale:e2e", "the image of this tree")
	next        = flag.String("next", "telltale:e2e-next", "another image of this tree, to roll to")
	again       = flag.Bool("again", false, "in a cluster where these tests have run before")
	installer   = flag.String("installer", "", "the dist/install.yaml of the image")
	plugin      = flag.String("plugin", "../../bin", "the folder with kubectl-telltale")
	previous    = flag.String("previous", "", "a tree of the version before this one; its image is telltale:e2e-previous")
	helmProgram = flag.String("helm", "", "the program helm")
	certManager = flag.String("cert-manager", "", "a folder with the program cert-manager and its crds.yaml")
)

// node is the cluster of all tests. They run one after the other.
var node *cluster

// cluster is a running cluster, seen by its administrator.
type cluster struct {
	api client.Client
}

// TestMain prints the table at the end. Each test installs what it needs.
func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	c, err := connect()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)

		return 1
	}
	node = c
	if err := node.checkCluster(); err != nil && !*again {
		fmt.Fprintln(os.Stderr, err)

		return 1
	}
	code := m.Run()
	table.print(os.Stdout)

	return code
}

func connect() (*cluster, error) {
	cfg, err := config.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("cannot tell which cluster to use; run this through make e2e: %w", err)
	}
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1
	cfg.Timeout = 20 * time.Second
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	api, err := client.New(cfg, client.Options{Scheme: scheme})

	return &cluster{api: api}, err
}

// checkCluster is an error if the cluster has a Telltale already: these tests
// install and remove it, so the cluster must be made for them.
func (c *cluster) checkCluster() error {
	var home corev1.Namespace
	err := c.api.Get(context.Background(), client.ObjectKey{Name: "telltale-system"}, &home)
	if err == nil {
		return fmt.Errorf("namespace %q is there already: run this in a cluster of its own (make cluster-down, make e2e)", home.Name)
	}

	return client.IgnoreNotFound(err)
}

// tree is a path in this repository.
func tree(path ...string) string {
	return filepath.Join(append([]string{"..", ".."}, path...)...)
}
