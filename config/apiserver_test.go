//go:build apiserver

package config_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
)

// TestAPIServer asks an API server that has our CRDs about everything that only a
// real one can judge.
func TestAPIServer(t *testing.T) {
	c := start(t, controlplane.Options{NoControllerManager: true})
	c.installCRDs("crd/bases")

	t.Run("Validation", func(t *testing.T) { testValidation(t, c.in(t)) })
	t.Run("Explain", func(t *testing.T) { testExplain(t, c.in(t)) })
	t.Run("Columns", func(t *testing.T) { testColumns(t, c.in(t)) })
	t.Run("Samples", func(t *testing.T) { testSamples(t, c.in(t)) })
	t.Run("Overlays", func(t *testing.T) { testOverlays(t, c.in(t)) })
}

// TestInstalled applies the README's manifests as most people do: client-side. The
// controller manager puts our roles into admin, edit and view.
func TestInstalled(t *testing.T) {
	c := start(t, controlplane.Options{})
	c.kubectl("apply", "-k", "default")
	c.kubectl("wait", "--for=condition=Established", "-f", "crd/bases")

	t.Run("Again", func(t *testing.T) { testAgain(t, c.in(t)) })
	t.Run("Roles", func(t *testing.T) { testRoles(t, c.in(t)) })
	t.Run("Pods", func(t *testing.T) { testPods(t, c.in(t)) })
	t.Run("CABundleIsLeft", func(t *testing.T) { testCABundleIsLeft(t, c.in(t)) })
	t.Run("Installer", func(t *testing.T) { testInstaller(t, c.in(t)) })
	t.Run("Uninstalled", func(t *testing.T) { testUninstalled(t, c.in(t)) }) // the last one
}

// cluster is a real control plane for one test. Its methods end the test on an
// error.
type cluster struct {
	*controlplane.ControlPlane
	t *testing.T
}

func start(t *testing.T, o controlplane.Options) cluster {
	t.Helper()

	return cluster{harness.ControlPlane(t, o), t}
}

// in is the same cluster for a subtest.
func (c cluster) in(t *testing.T) cluster {
	t.Helper()

	return cluster{c.ControlPlane, t}
}

func (c cluster) kubectl(args ...string) string {
	c.t.Helper()

	return harness.Kubectl(c.t, c.ControlPlane, args...)
}

// allowed is true if kubectl succeeds, run by an administrator that acts as another
// user.
func (c cluster) allowed(user string, args ...string) bool {
	c.t.Helper()

	_, err := c.Kubectl(c.t.Context(), append([]string{"--as", user}, args...)...)

	return err == nil
}

// eventually repeats kubectl until it succeeds.
func (c cluster) eventually(args ...string) {
	c.t.Helper()

	harness.Eventually(c.t, "kubectl "+strings.Join(args, " "), func(ctx context.Context) error {
		_, err := c.Kubectl(ctx, args...)

		return err
	})
}

// installCRDs applies CRDs and waits until the API server knows them.
func (c cluster) installCRDs(paths ...string) {
	c.t.Helper()

	for _, path := range paths {
		c.kubectl("apply", "--server-side", "-f", path)
		c.kubectl("wait", "--for=condition=Established", "-f", path)
	}
}

// build is `kubectl kustomize` of a folder.
func build(t *testing.T, folder string) string {
	t.Helper()

	kubectl := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl")
	out, err := exec.CommandContext(t.Context(), kubectl, "kustomize", folder).CombinedOutput()
	if err != nil {
		t.Fatalf("cannot build %s: %v\n%s", folder, err, out)
	}

	return string(out)
}
