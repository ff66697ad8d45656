package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/cli"
)

const about = `Why does this pod have an Injection, or lack it?

Telltale puts env vars and init containers into pods, as Injections declare it.
This plugin answers with the webhook's own code, so its answer is the webhook's.
It reads with your rights. If it may not read something, it says so, and does
not guess.

Exit codes: 0, all is well. 1, there is a finding. 2, it could not tell: the
arguments make no sense, or something could not be read.`

// command returns the root, with every subcommand.
func command(o *cli.Options) *cobra.Command {
	root := &cobra.Command{
		Use:           "kubectl-telltale",
		Short:         "Why does this pod have an Injection, or lack it?",
		Long:          about,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl telltale"},
	}

	root.SetIn(o.In)
	root.SetOut(o.Out)
	root.SetErr(o.ErrOut)
	root.SetVersionTemplate("{{.DisplayName}} {{.Version}}\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return cli.Unknown("%w. See %s --help", err, c.CommandPath())
	})
	o.AddFlags(root.PersistentFlags())
	o.AddCompletions(root)

	root.AddCommand(&cobra.Command{
		Use:   "version",
		Short: "Print the version of this plugin",
		Args:  cobra.NoArgs,
		Run: func(c *cobra.Command, _ []string) {
			fmt.Fprintln(o.Out, c.Root().DisplayName(), version)
		},
	})
	root.AddCommand(subcommands(o)...)
	root.AddCommand(docsCommand(o))

	return root
}
