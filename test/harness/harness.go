// Package harness lets tests use real processes, a control plane and Telltale, and
// wait for them. The processes end with the test or with the package's tests. It
// is for files with a build tag, so that unit tests link none of it. The product
// never imports it.
package harness

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/telltale-dev/telltale/test/child"
	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/telltale"
)

// Patience bounds each wait that has no promised limit.
const Patience = child.Patience

// ControlPlane starts a control plane that ends with the test.
func ControlPlane(t *testing.T, o controlplane.Options) *controlplane.ControlPlane {
	t.Helper()
	cp, err := controlplane.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cp.Stop(); err != nil {
			t.Error(err)
		}
	})

	return cp
}

// Kubectl runs kubectl as the administrator, and fails the test if it fails.
func Kubectl(t *testing.T, cp *controlplane.ControlPlane, args ...string) string {
	t.Helper()
	out, err := cp.Kubectl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}

	return out
}

// Replica returns a Telltale that is not started. Its process ends with the test.
// A test that fails prints the end of its log.
func Replica(t *testing.T, o telltale.Options) *telltale.Replica {
	t.Helper()
	r, err := telltale.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Stop(30 * time.Second)
		if t.Failed() {
			t.Logf("the end of Telltale's log:\n%s", r.Tail())
		}
	})

	return r
}

// Start starts a replica, or replaces its process.
func Start(t *testing.T, r *telltale.Replica) {
	t.Helper()
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
}

// WaitReady waits until a replica that was started is ready.
func WaitReady(t *testing.T, r *telltale.Replica) {
	t.Helper()
	if err := r.WaitUntil(t.Context(), Patience, r.Ready); err != nil {
		t.Fatal(err)
	}
}

// FreePort returns a port of loopback that nothing listens on.
func FreePort(t *testing.T) string {
	t.Helper()
	port, err := controlplane.FreePort()
	if err != nil {
		t.Fatal(err)
	}

	return port
}

// Eventually waits until a condition is nil, as Within does, with Patience.
func Eventually(t *testing.T, what string, condition func(context.Context) error) time.Duration {
	t.Helper()

	return Within(t, Patience, what, condition)
}

// Within waits until a condition is nil, and returns how long that took. After
// the limit it ends the test, with the condition's last error. The pauses between
// looks grow to a quarter of a second: most looks start a kubectl, which takes a tenth
// of a second of CPU.
func Within(t *testing.T, limit time.Duration, what string, condition func(context.Context) error) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	pause := wait.Backoff{Duration: 50 * time.Millisecond, Factor: 1.5, Cap: time.Second / 4, Steps: math.MaxInt}
	var last error
	start := time.Now()
	err := pause.DelayFunc().Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		last = condition(ctx)

		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: not within %v: %v", what, limit, last)
	}

	return time.Since(start)
}

// File writes a file for kubectl to read. It is there until the end of the test.
func File(t *testing.T, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}

	return path
}
