package controlplane

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/test/child"
)

// Kubectl runs our kubectl as the administrator and returns its standard output.
// The error has its standard error. `kubectl wait` has child.Patience unless an
// argument says otherwise; its own default is 30 s.
func (cp *ControlPlane) Kubectl(ctx context.Context, args ...string) (string, error) {
	if len(args) > 0 && args[0] == "wait" {
		args = slices.Insert(slices.Clone(args), 1, "--timeout="+child.Patience.String())
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(cp.options.Assets, "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+cp.KubeconfigPath)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("cannot kubectl %s: %w: %s",
			strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}

	return stdout.String(), nil
}

// User returns a config that acts as the named user, with only the rights that RBAC
// grants to the name, to the groups and to system:authenticated. A service account
// is a user of the name system:serviceaccount:<namespace>:<name>.
func (cp *ControlPlane) User(name string, groups ...string) *rest.Config {
	config := rest.CopyConfig(cp.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: name, Groups: groups}

	return config
}

// answers is a condition: the API server has something at this path.
func (cp *ControlPlane) answers(path string) func(context.Context) error {
	return func(ctx context.Context) error {
		client, err := kubernetes.NewForConfig(cp.Config)
		if err != nil {
			return fmt.Errorf("cannot make a client: %w", err)
		}

		return client.RESTClient().Get().AbsPath(path).Do(ctx).Error()
	}
}
