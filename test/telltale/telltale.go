// Package telltale runs the real Telltale beside a control plane. It is for tests
// (package harness) and for the tools of hack/. The product never imports it.
//
//	err := telltale.Install(ctx, cp, "config")
//	r, err := telltale.New(telltale.Options{Program: "bin/telltale", Config: telltale.ServiceAccount(cp), Dir: dir})
//	err = telltale.Register(ctx, cp, r.Port)
//	err = r.Start()
//	defer r.Kill()
//	err = r.WaitUntil(ctx, child.Patience, r.Ready)
package telltale

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/test/controlplane"
)

// Build writes the program of this tree to a file, as make build does. Flags are
// those of go build.
func Build(ctx context.Context, file string, flags ...string) error {
	args := slices.Concat([]string{"build", "-tags", "grpcnotrace"}, flags, []string{"-o", file, "github.com/telltale-dev/telltale/cmd/telltale"})
	cmd := exec.CommandContext(ctx, "go", args...)
	if !slices.Contains(flags, "-race") {
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the program: %w: %s", err, out)
	}

	return nil
}

// ServiceAccount returns a config of Telltale's service account. It has the rights
// that config/ grants, and no others.
func ServiceAccount(cp *controlplane.ControlPlane) *rest.Config {
	return cp.User("system:serviceaccount:telltale-system:telltale",
		"system:serviceaccounts", "system:serviceaccounts:telltale-system", "system:authenticated")
}

// Install applies all objects that a Telltale outside of the cluster needs in it.
// The folder is this tree's config/.
func Install(ctx context.Context, cp *controlplane.ControlPlane, folder string) error {
	for _, args := range [][]string{
		{"apply", "-k", filepath.Join(folder, "overlays", "local")},
		{"apply", "-k", filepath.Join(folder, "rbac")},
		{"apply", "-k", filepath.Join(folder, "audit")},
		{"apply", "-k", filepath.Join(folder, "canary")},
		{"apply", "-k", filepath.Join(folder, "authority")},
		{"wait", "--for=condition=Established", "crds", "--all"},
	} {
		if _, err := cp.Kubectl(ctx, args...); err != nil {
			return err
		}
	}

	return nil
}

// Patient is an operation for Register: the API server waits 30 s for an answer, as
// one on a busy machine may have to. Start Telltale with --webhook-timeout=30s then.
const Patient = `{"op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": 30}`

// Register makes the API server call a port of this machine. The operations are
// JSON patches of the MutatingWebhookConfiguration.
func Register(ctx context.Context, cp *controlplane.ControlPlane, port string, operations ...string) error {
	url := `{"op": "replace", "path": "/webhooks/0/clientConfig/url", "value": "https://localhost:` + port + `/mutate--v1-pod"}`
	patch := "[" + strings.Join(append(operations, url), ", ") + "]"
	_, err := cp.Kubectl(ctx, "patch", "mutatingwebhookconfiguration", "telltale", "--type=json", "--patch="+patch)

	return err
}
