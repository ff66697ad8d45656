package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/telltale"
)

// WithControlPlane starts a control plane that the tests of a package share, and
// calls run. There, keep the control plane in a variable and call m.Run. It returns
// the exit code of run.
func WithControlPlane(o controlplane.Options, run func(*controlplane.ControlPlane) int) int {
	cp, err := controlplane.Start(context.Background(), o)
	if err != nil {
		return fail(err)
	}
	defer func() { report(cp.Stop()) }()

	return run(cp)
}

// WithProgram builds the program that the tests of a package share, likewise.
// Flags are those of go build.
func WithProgram(run func(file string) int, flags ...string) int {
	dir, err := os.MkdirTemp("", "telltale-program-")
	if err != nil {
		return fail(err)
	}
	defer func() { report(os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "telltale")
	if err := telltale.Build(context.Background(), file, flags...); err != nil {
		return fail(err)
	}

	return run(file)
}

func fail(err error) int {
	report(err)

	return 1
}

// report prints an error, if there is one.
func report(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
