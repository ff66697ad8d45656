//go:build apiserver

package stress

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
)

// full asks for the figures of the promise.
var full = flag.Bool("full", false, "the full form of each scenario, and a table of them at the end")

// shared is the cluster of all scenarios that can share one, and program the file
// of the real program.
var (
	shared  *cluster
	program string
)

func TestMain(m *testing.M) {
	if part := os.Getenv(other); part != "" {
		os.Exit(fail(play(part)))
	}
	// The scenarios that run at the same time mostly wait. Those that spoil the API
	// server have one of their own. Those that measure time come first, one by one.
	if err := flag.Set("test.parallel", strconv.Itoa(min(8, 2*runtime.GOMAXPROCS(0)))); err != nil {
		os.Exit(fail(err))
	}
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	return harness.WithProgram(func(file string) int {
		program = file

		return harness.WithControlPlane(options(), func(cp *controlplane.ControlPlane) (code int) {
			var err error
			if shared, err = newCluster(context.Background(), cp, filepath.Dir(file)); err != nil {
				return fail(err)
			}
			code = m.Run()
			if *full {
				table.print(os.Stdout)
			}

			return code
		})
	})
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)

	return 1
}

// scale returns the figure for the short form or the full one, whichever runs.
func scale[T any](short, long T) T {
	if *full {
		return long
	}

	return short
}

// alongside lets the short form of a scenario run beside others. Its full form
// measures time, so it has the machine for itself.
func alongside(t *testing.T) {
	t.Helper()
	if !*full {
		t.Parallel()
	}
}

// within is a limit of time: as promised in the full form, and longer in the short
// one, because other tests run beside it.
func within(promised time.Duration) time.Duration {
	return scale(5*promised, promised)
}
