//go:build apiserver

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// program is the file of the real program. It has the race detector if the test
// has.
var program string

func TestMain(m *testing.M) {
	os.Exit(harness.WithProgram(func(file string) int {
		program = file

		return m.Run()
	}, raceFlag()...))
}

// cluster is a real control plane with all of Telltale's objects, but without
// Telltale itself.
type cluster struct {
	*controlplane.ControlPlane

	dir string
}

// startCluster makes a cluster for a test.
func startCluster(t *testing.T) *cluster {
	t.Helper()

	return &cluster{ControlPlane: harness.ControlPlane(t, controlplane.Options{}), dir: t.TempDir()}
}

// startInstalled starts one with Telltale's objects, for a webhook on a free port.
func startInstalled(t *testing.T) (c *cluster, port string) {
	t.Helper()

	c, port = startCluster(t), harness.FreePort(t)
	c.install(t, port)

	return c, port
}

// install applies Telltale's objects, with the webhook on a port, and makes the
// namespace of the tests.
func (c *cluster) install(t *testing.T, port string) {
	t.Helper()
	c.sync(t, port)
	c.kubectl(t, "create", "namespace", "shop")
}

// sync applies Telltale's objects, with the webhook on a port.
func (c *cluster) sync(t *testing.T, port string) {
	t.Helper()

	if err := telltale.Install(t.Context(), c.ControlPlane, "../../config"); err != nil {
		t.Fatal(err)
	}

	if err := telltale.Register(t.Context(), c.ControlPlane, port); err != nil {
		t.Fatal(err)
	}
}

// launch starts the program, with the rights of config/ and no others.
func (c *cluster) launch(t *testing.T, port string, flags ...string) *telltale.Replica {
	t.Helper()

	r := harness.Replica(t, telltale.Options{
		Program: program, Config: telltale.ServiceAccount(c.ControlPlane), Dir: c.dir, Port: port, Flags: flags,
	})
	harness.Start(t, r)

	return r
}

func (c *cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()

	return harness.Kubectl(t, c.ControlPlane, args...)
}

// apply applies YAML.
func (c *cluster) apply(t *testing.T, manifests string) {
	t.Helper()
	c.kubectl(t, "apply", "-f", c.write(t, manifests))
}

// write returns a file that holds YAML.
func (c *cluster) write(t *testing.T, manifests string) string {
	t.Helper()

	file := filepath.Join(c.dir, "manifests.yaml")
	if err := os.WriteFile(file, []byte(manifests), 0o600); err != nil {
		t.Fatal(err)
	}

	return file
}

// output waits until a kubectl command prints a text.
func (c *cluster) output(t *testing.T, want string, args ...string) {
	t.Helper()
	c.matches(t, regexp.QuoteMeta(want), args...)
}

// matches waits until what a kubectl command prints matches an expression.
func (c *cluster) matches(t *testing.T, want string, args ...string) {
	t.Helper()
	harness.Eventually(t, "kubectl "+strings.Join(args, " "), func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, args...)
		if err == nil && !regexp.MustCompile(want).MatchString(out) {
			err = fmt.Errorf("want %q in:\n%s", want, out)
		}

		return err
	})
}
