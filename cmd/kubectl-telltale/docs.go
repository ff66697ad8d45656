package main

import (
	"cmp"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/cli"
)

const install = `# kubectl telltale

<!-- Made by "make generate" from the commands' own help. -->

%s

## Install

` + "```sh" + `
make plugin                                  # bin/kubectl-telltale
sudo install bin/kubectl-telltale /usr/local/bin/
sudo ln -sf kubectl-telltale /usr/local/bin/kubectl_complete-telltale   # completion, as kubectl looks for it
kubectl telltale --help
` + "```" + `

A release has an archive for each platform, and a manifest for [krew](https://krew.sigs.k8s.io); ` + "`docs/release.md`" + ` says
how to check both. Alone, it completes as well, and it has man pages:

` + "```sh" + `
kubectl krew install --manifest=telltale.yaml
source <(kubectl-telltale completion bash)   # or zsh, fish, powershell
make man && man -l dist/man/kubectl-telltale-explain.1
` + "```" + `

kubectl finds it by its name on the PATH. Without kubectl, ` + "`kubectl-telltale`" + ` does the same.

It reads with your rights, and has none of its own. ` + "`view`" + ` in a namespace is enough for its Injections, pods,
events, quotas and limits. ClusterInjections and the registration belong to no namespace: the component
` + "`config/components/readers`" + ` lets all users read these. Without it, ` + "`explain`" + ` says what it could not read, and ends
with exit code 2.
`

// docsCommand prints docs/kubectl-telltale.md, or writes man pages.
func docsCommand(o *cli.Options) *cobra.Command {
	var man string

	c := &cobra.Command{
		Use: "docs", Short: "Print the manual as Markdown, or write it as man pages", Hidden: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if man != "" {
				return manPages(c.Root(), man)
			}

			document(o.Out, c.Root())

			return nil
		},
	}
	c.Flags().StringVar(&man, "man", "", "The folder for man pages")

	return c
}

// manPages writes a page for each command: kubectl-telltale.1, kubectl-telltale-explain.1
// and so on. Their date is SOURCE_DATE_EPOCH's, if that is set. No path of the machine is
// in them.
func manPages(root *cobra.Command, folder string) error {
	root.DisableAutoGenTag = true
	root.PersistentFlags().Lookup("cache-dir").DefValue = "$HOME/.kube/cache"

	for _, c := range root.Commands() {
		c.Long = fenced(c.Long)
	}

	return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "telltale " + version, Manual: "Telltale"}, folder)
}

// fenced is a text as Markdown, in which lines that begin with spaces stay as they are.
func fenced(text string) string {
	return regexp.MustCompile(`(?m)(^ {2}.*\n?)+`).ReplaceAllStringFunc(text, func(lines string) string {
		return "\n```\n" + strings.TrimSuffix(lines, "\n") + "\n```\n"
	})
}

func document(w io.Writer, root *cobra.Command) {
	fmt.Fprintf(w, install, root.Long)

	for _, c := range root.Commands() {
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			continue
		}

		fmt.Fprintf(w, "\n## %s\n\n```text\n%s\n\n%s\n```\n", c.Name(), strings.TrimSpace(cmp.Or(c.Long, c.Short)), c.UseLine())

		if c.Example != "" {
			fmt.Fprintf(w, "\n```sh\n%s\n```\n", unindent(c.Example))
		}

		flags(w, c.LocalNonPersistentFlags())
	}

	fmt.Fprintln(w, "\n## Flags of all commands\n\nThey are kubectl's own.")
	flags(w, root.PersistentFlags())
}

// flags prints a table. Defaults that depend on the machine are not among it.
func flags(w io.Writer, set *pflag.FlagSet) {
	rows := 0

	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}

		rows++
		if rows == 1 {
			fmt.Fprint(w, "\n| flag | meaning |\n| --- | --- |\n")
		}

		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}

		usage := strings.ReplaceAll(strings.Join(strings.Fields(f.Usage), " "), "|", `\|`)
		fmt.Fprintf(w, "| `%s` | %s |\n", name, usage)
	})
}

func unindent(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}

	return strings.Join(lines, "\n")
}
