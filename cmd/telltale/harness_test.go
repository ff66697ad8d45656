//go:build apiserver

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
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
	// These tests mostly wait.
	if err := flag.Set("test.parallel", strconv.Itoa(runtime.GOMAXPROCS(0)+1)); err != nil {
		panic(err)
	}

	os.Exit(harness.WithProgram(func(file string) int {
		program = file

		return m.Run()
	}, raceFlag()...))
}

// cluster is a real control plane with all of Telltale's objects, but without
// Telltale itself.
type cluster struct {
	*controlplane.ControlPlane

	dir       string
	isPatient bool // the API server waits for 30 s
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
// namespace of the tests. The API server waits longer for an answer than by default: on
// a busy machine it may have to.
func (c *cluster) install(t *testing.T, port string) {
	t.Helper()

	c.isPatient = true
	c.sync(t, port)
	c.kubectl(t, "create", "namespace", "shop")
}

// sync applies Telltale's objects, with the webhook on a port.
func (c *cluster) sync(t *testing.T, port string) {
	t.Helper()

	var operations []string
	if c.isPatient {
		operations = append(operations, telltale.Patient)
	}

	if err := telltale.Install(t.Context(), c.ControlPlane, "../../config"); err != nil {
		t.Fatal(err)
	}

	if err := telltale.Register(t.Context(), c.ControlPlane, port, operations...); err != nil {
		t.Fatal(err)
	}
}

// launch starts the program, with the rights of config/ and no others.
func (c *cluster) launch(t *testing.T, port string, flags ...string) *telltale.Replica {
	t.Helper()

	return c.launchWith(t, telltale.Options{Config: telltale.ServiceAccount(c.ControlPlane), Port: port, Flags: flags})
}

func (c *cluster) launchWith(t *testing.T, o telltale.Options) *telltale.Replica {
	t.Helper()

	o.Program, o.Dir = program, c.dir
	if c.isPatient {
		o.Flags = append([]string{"--webhook-timeout=30s"}, o.Flags...)
	}

	r := harness.Replica(t, o)
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
