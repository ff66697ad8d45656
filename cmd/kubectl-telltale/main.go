// Command kubectl-telltale is a plugin of kubectl: it says why a pod has an
// Injection or lacks it, with the webhook's own code. Each subcommand is a
// package under internal. Alone, without kubectl, it does the same.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/check"
	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/cli"
	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/explain"
	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/failures"
	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/restart"
	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/trial"
	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/withdrawn"
)

// version is set when a release is built: -ldflags "-X main.version=v1.2.3".
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	klog.SetLogger(logr.Discard()) // errors are returned, too

	os.Exit(execute(ctx, os.Args, genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}))
}

// execute is main without anything global: it returns the exit code, as cli.Code
// explains it. The name in args[0] decides two things. As kubectl-telltale, texts
// say "kubectl telltale". As kubectl_complete-telltale, the command completes its
// arguments, as kubectl expects of that name.
func execute(ctx context.Context, args []string, streams genericiooptions.IOStreams) int {
	name := strings.TrimSuffix(filepath.Base(args[0]), ".exe")
	root := command(cli.New(streams)) //nolint:contextcheck // cobra hands the context on

	if strings.HasPrefix(name, "kubectl_complete-") {
		root.SetArgs(append([]string{cobra.ShellCompRequestCmd}, args[1:]...))
	} else {
		root.SetArgs(args[1:])
	}

	err := root.ExecuteContext(ctx)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		err = cli.Unknown("interrupted")
	}

	return cli.Code(err, streams.ErrOut)
}

// subcommands returns the commands in the order of the help.
func subcommands(o *cli.Options) []*cobra.Command {
	return []*cobra.Command{
		explain.Command(o),
		trial.Command(o),
		failures.Command(o),
		check.Command(o),
		restart.Command(o),
		withdrawn.Command(o),
		withdrawn.RetryCommand(o),
	}
}
