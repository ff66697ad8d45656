// Command telltale is the webhook: it parses its flags, connects the two pipes,
// and runs them until it is told to stop. It is the only package that knows
// both.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

// version is set when a release is built: -ldflags "-X main.version=v1.2.3".
var version = "dev"

// growth is the default of GOGC: by how many percent the heap may grow before
// it is collected. It is half of Go's own default. This saves a third of the
// memory that thousands of Injections take, and costs a few percent of CPU.
const growth = 50

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(growth)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// execute is main without anything global: it returns the exit code. 0: the run
// ended as asked. 1: the run failed. 2: the command line makes no sense.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)

	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "telltale:", err)

		return 2
	case o.version:
		fmt.Fprintln(stdout, "telltale", version)

		return 0
	}

	log := zap.New(zap.UseFlagOptions(&o.zap), zap.WriteTo(stderr))
	ctrl.SetLogger(log)
	klog.SetLogger(log)

	if err := run(logr.NewContext(ctx, log), o); err != nil {
		log.Error(err, "telltale ends")

		return 1
	}

	return 0
}
