// Package failures has the command failures: what Telltale could not inject, joined
// from its events, the records of pods, and the status of Injections.
package failures

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/cli"
	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/scan"
)

const about = `List the Injections that were not applied, with what is worst first.

One line stands for an owner of pods, an Injection and a reason. It joins Telltale's
events, the records that pods carry, and the status of Injections. Events live for an
hour; records and status stay, so a failure is listed as long as it lasts.

  COUNT     how many pods it concerned, by the event; - if that has expired
  WITHOUT   how many pods there are now without the Injection, or (InjectionStuck) that
            it keeps from starting; ? if that can't be told; "refused" if the Injection
            says onFailure: Deny, so that the owner lacks pods
  MESSAGE   why, and the cure; cut on a terminal, unless --output is wide

Order: pods that can't start, then pods that run without, by their number, then what is
over. A failure is over once WITHOUT is 0, or InjectionRestored has ended it.

Exit codes: 0, none, or all are over. 1, at least one is not. 2, it could not tell.
With --watch: 0 after Ctrl-C, and 2 once the cluster can't be watched.`

// flags are those of the command.
type flags struct {
	all   *bool
	watch bool
	since time.Duration
	out   *cli.Output
}

// Command returns the command failures.
func Command(o *cli.Options) *cobra.Command {
	c := &cobra.Command{
		Use:   "failures",
		Short: "List the Injections that were not applied, the worst first",
		Long:  about,
		Example: `  kubectl telltale failures -n shop
  kubectl telltale failures -A --since 10m
  kubectl telltale failures -A --watch
  kubectl telltale failures -A -o json | jq '.failures[] | select(.open)'`,
		Args: cobra.NoArgs,
	}
	f := flags{all: scan.AddFlags(c), out: cli.AddOutput(c, "wide")}
	c.Flags().BoolVarP(&f.watch, "watch", "w", false, "After the list, print a line whenever something changes")
	c.Flags().DurationVar(&f.since, "since", 0, "List only what happened in that time, such as 10m")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if f.watch && f.out.Machine() {
			return cli.Unknown("--watch prints lines for people; leave --output out, or use wide")
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
	all, err := read(ctx, s)
	if err != nil {
		return err
	}

	s.Read()

	rows := recent(all.rows(), f.since, time.Now())
	t := table{w: o.Out, all: *f.all, wide: f.out.Format == "wide"}

	switch {
	case f.out.Machine():
		err = f.out.Write(o.Out, map[string]any{"failures": rows, "unread": s.Unread()})
	case len(rows) == 0:
		s.Says("No failures found.")
	default:
		err = t.print(rows, time.Now())
	}

	if err != nil {
		return err
	}

	if f.watch {
		return watchEvents(ctx, s, &t, rows)
	}

	if slices.ContainsFunc(rows, func(r *Row) bool { return r.Open }) {
		return s.End(cli.Finding(""))
	}

	return s.End(nil)
}

// recent leaves out what last happened before.
func recent(rows []*Row, since time.Duration, now time.Time) []*Row {
	if since <= 0 {
		return rows
	}

	return slices.DeleteFunc(rows, func(r *Row) bool { return r.last().Before(now.Add(-since)) })
}
