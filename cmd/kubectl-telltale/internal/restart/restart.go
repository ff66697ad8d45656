// Package restart has the command restart-outdated: it rolls out the owners of pods
// that lack an Injection, or have an old revision of one.
package restart

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/cli"
	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/scan"
)

const about = `Roll out the owners of pods that lack an Injection or have an old revision of it.

Pods get their Injections when they are created. Those from before an edit of an
Injection keep the old one, and those that Telltale was not asked about have none. This
command finds them by the records that they carry, lists their owners, asks, and restarts
each owner as "kubectl rollout restart" does. PodDisruptionBudgets do not matter to a
rollout; the strategy of the owner does.

It restarts an owner only if that helps: it judges the pod that the owner would create,
with the webhook's own code. If that pod would lack the Injection as well, the list says
why. A rollout is also a new try of an Injection that is withdrawn from the owner: so such
an owner is left alone, unless --withdrawn is set. Deployments, StatefulSets and
DaemonSets can be restarted; the list names other owners, and pods without one.

At most --max-concurrent rollouts go on at a time. If one is not done within --timeout,
no other is begun.

Exit codes: 0, no owner needs it, or all rollouts are done. 1, some do (--dry-run, or the
answer was no), or a rollout did not end. 2, it could not tell.`

// flags are those of the command.
type flags struct {
	all, dryRun, yes, withdrawn *bool
	atOnce                      int
	timeout                     time.Duration
	out                         *cli.Output
}

// Command returns the command restart-outdated.
func Command(o *cli.Options) *cobra.Command {
	c := &cobra.Command{
		Use:   "restart-outdated",
		Short: "Roll out the owners of pods that lack an Injection, or have an old one",
		Long:  about,
		Example: `  kubectl telltale restart-outdated -n shop
  kubectl telltale restart-outdated -A --dry-run -o json
  kubectl telltale restart-outdated -A --yes --max-concurrent 2`,
		Args: cobra.NoArgs,
	}
	f := flags{all: scan.AddFlags(c), out: cli.AddOutput(c)}
	f.dryRun = c.Flags().Bool("dry-run", false, "List the owners, and restart none")
	f.yes = c.Flags().BoolP("yes", "y", false, "Do not ask")
	f.withdrawn = c.Flags().Bool("withdrawn", false, "Restart owners, too, that an Injection is withdrawn from: its cause is corrected")
	c.Flags().IntVar(&f.atOnce, "max-concurrent", 5, "How many rollouts may go on at a time")
	c.Flags().DurationVar(&f.timeout, "timeout", 10*time.Minute, "How long to wait for each rollout")
	c.RunE = func(c *cobra.Command, _ []string) error {
		switch {
		case f.atOnce < 1:
			return cli.Unknown("--max-concurrent must be 1 at least, not %d", f.atOnce)
		case f.out.Machine() && !*f.dryRun:
			return cli.Unknown("-o %s needs --dry-run", f.out.Format)
		}

		s, err := scan.New(o, *f.all)
		if err != nil {
			return err
		}

		return run(c.Context(), o, s, f)
	}

	return c
}

func run(ctx context.Context, o *cli.Options, s *scan.Scan, f flags) error {
	owners, err := find(ctx, s, *f.withdrawn)
	if err != nil {
		return err
	}

	s.Read()

	if f.out.Machine() {
		err = f.out.Write(o.Out, map[string]any{"owners": owners, "unread": s.Unread()})
	} else if len(owners) > 0 {
		err = cli.Table(o.Out, []string{"NAMESPACE", "OWNER", "PODS", "INJECTIONS", "ACTION"}, cells(owners))
	}

	if err != nil {
		return err
	}

	due := toRestart(owners)

	switch {
	case len(due) == 0:
		s.Says("No owner needs a restart.")

		return s.End(nil)
	case *f.dryRun:
		return s.End(cli.Finding(""))
	}

	if err := ask(o, f, len(due)); err != nil {
		return err
	}

	return s.End(rollOut(ctx, o, s.Client, due, f))
}

// ask asks the user, unless --yes is set.
func ask(o *cli.Options, f flags, n int) error {
	if *f.yes {
		return nil
	}

	if !printers.IsTerminal(o.In) && !printers.IsTerminal(o.Out) {
		return cli.Unknown("this is not a terminal, so no question can be asked: use --yes, or --dry-run")
	}

	fmt.Fprintf(o.ErrOut, "Restart %s? [y/N] ", owners(n))

	answer, _ := bufio.NewReader(o.In).ReadString('\n') // at the end of the input, the answer is no
	if yes := strings.ToLower(strings.TrimSpace(answer)); yes != "y" && yes != "yes" {
		return cli.Finding("nothing was restarted")
	}

	return nil
}

func owners(n int) string {
	if n == 1 {
		return "1 owner"
	}

	return fmt.Sprintf("%d owners", n)
}
