// Package check has the command check: is Telltale installed as it should be, and does
// it work?
//
// All is read first, then judged: judge is a pure function of what was read.
package check

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/cli"
)

const about = `Check that Telltale is installed as it should be, and works.

It compares the cluster with the manifests of this plugin's version, and asks the API
server for a pod, as a dry run, in namespace telltale-canary: does it ask Telltale?
Nothing is changed. Most of it needs the rights of an administrator; a line that needs a
right that you don't have says so.

  ✓  as it should be          ‼  works, and could be better
  ×  does not work            ?  could not be told

With --pre it checks if Telltale can be installed, and by you: also by dry runs.

Exit codes: 0, no line has × or ?. 1, one has ×. 2, one has ?, or nothing could be told.`

// settings are the names that an installation may have changed.
type settings struct {
	namespace, canaryHome, registration string
	plugin                              string // its version
}

// Command returns the command check.
func Command(o *cli.Options) *cobra.Command {
	c := &cobra.Command{
		Use:   "check",
		Short: "Check that Telltale is installed as it should be, and works",
		Long:  about,
		Example: `  kubectl telltale check --pre     # before an installation
  kubectl telltale check
  kubectl telltale check -o json | jq '.checks[] | select(.status != "ok")'`,
		Args: cobra.NoArgs,
	}
	out := cli.AddOutput(c)
	pre := c.Flags().Bool("pre", false, "Check if Telltale can be installed")
	s := settings{canaryHome: "telltale-canary", registration: "telltale"}
	c.Flags().StringVar(&s.namespace, "telltale-namespace", "telltale-system", "The namespace of Telltale itself")
	c.RunE = func(c *cobra.Command, _ []string) error {
		s.plugin = c.Root().Version

		client, err := o.Client()
		if err != nil {
			return err
		}

		discovery, err := o.ToDiscoveryClient()
		if err != nil {
			return cli.Unknown("cannot tell which cluster: %w", err)
		}

		version, err := discovery.ServerVersion()
		if err != nil {
			return cli.Unknown("cannot reach the API server: %w", err)
		}

		var lines []Line

		if *pre {
			lines, err = before(c.Context(), client, s, version.GitVersion)
		} else {
			lines, err = after(c.Context(), client, s, version.GitVersion)
		}

		if err != nil {
			return err
		}

		if out.Machine() {
			err = out.Write(o.Out, map[string]any{"checks": lines})
		} else {
			show(o.Out, lines, cli.StyleOf(o.Out))
			fmt.Fprintln(o.Out, "\nStatus check results are "+summary(lines))
		}

		if err != nil {
			return err
		}

		return verdict(lines)
	}

	return c
}

// after checks an installation.
func after(ctx context.Context, c client.Client, s settings, version string) ([]Line, error) {
	all, err := read(ctx, c, s)
	if err != nil {
		return nil, err
	}

	all.version = version

	return all.judge(time.Now())
}

func summary(lines []Line) string {
	if verdict(lines) == nil {
		return "✓"
	}

	n := map[Status]int{}
	for _, l := range lines {
		n[l.Status]++
	}

	if n[Bad] > 0 {
		return fmt.Sprintf("× (%d of %d failed)", n[Bad], len(lines))
	}

	return fmt.Sprintf("? (%d of %d could not be told)", n[Unknown], len(lines))
}
