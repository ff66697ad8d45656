//go:build apiserver

package stress

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// full asks for the figures of the promise.
var full = flag.Bool("full", false, "the full form of each scenario, and a table of them at the end")

// shared is the cluster of all scenarios that can share one, and binary the
// program.
var (
	shared *cluster
	binary string
)

func TestMain(m *testing.M) {
	// The scenarios that run at the same time mostly wait; those that spoil the
	// API server have one of their own. Those that are about time come first, one
	// by one.
	if err := flag.Set("test.parallel", "8"); err != nil {
		os.Exit(fail(err))
	}
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "telltale-stress-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is temporary

	binary = filepath.Join(dir, "telltale")
	build := exec.Command("go", "build", "-o", binary, "../../cmd/telltale")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fail(fmt.Errorf("cannot build the program: %w: %s", err, out))
	}

	shared, err = newCluster(context.Background(), filepath.Join(dir, "shared"))
	if err != nil {
		return fail(err)
	}
	defer shared.Stop() //nolint:errcheck // the tests have said what they have to say

	code := m.Run()
	if *full {
		table.print(os.Stdout)
	}

	return code
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)

	return 1
}

// scale is the figure of the form that runs.
func scale[T any](short, long T) T {
	if *full {
		return long
	}

	return short
}

// alongside has the short form of a scenario run beside others. Its full form,
// which is about time, has the machine for itself.
func alongside(t *testing.T) {
	t.Helper()
	if !*full {
		t.Parallel()
	}
}

// within is a limit of time: as promised in the full form, and more of it in
// the short one, beside which other tests run.
func within(promised time.Duration) time.Duration {
	return scale(5*promised, promised)
}
