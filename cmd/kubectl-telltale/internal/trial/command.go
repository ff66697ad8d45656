// Package trial is the command test: what would become of workloads, by files alone?
// It is for pull requests, and needs no cluster.
package trial

import (
	"context"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/cli"
)

const about = `What would become of these workloads? It reads files, and needs no cluster.

Files, folders, kustomizations (-k) and standard input (-) have the Injections and
the workloads, and where they matter the Namespaces, LimitRanges, ResourceQuotas,
ServiceAccounts, and the ConfigMaps and Secrets that Injections require. The judgement is the webhook's own code. Files of kind TelltaleTest
say what is expected:

  apiVersion: telltale.dev/v1alpha1
  kind: TelltaleTest
  metadata: {namespace: shop}
  expect:
  - workload: deployment/checkout
    injected: [proxy, cluster/corp-ca]     # these, and no others
    failed: {tracing: InjectionConflict}   # these, and no others
    pod: checkout.golden                   # the whole pod; --update writes it

With --strict, each failure on a workload that no test names is a finding, too.

A run fails if it asserts nothing, finds no workload, or meets a name that is not
there: a test that can't fail is no test.

Exit codes: 0, all is as expected. 1, something is not. 2, it could not tell.`

const examples = `  # A folder with Injections, workloads and tests
  kubectl telltale test deploy/

  # A chart, with the Injections of another folder
  helm template shop ./chart | kubectl telltale test -f injections/ - --strict

  # The labels of a namespace that is in no file
  kubectl telltale test deploy/ --namespace-labels shop:env=prod,pod-security.kubernetes.io/enforce=baseline

  # In a pull request on GitHub
  kubectl telltale test deploy/ -o github`

// options are the flags.
type options struct {
	*cli.Options

	files   resource.FilenameOptions
	labels  []string
	version string
	strict  bool
	update  bool
	output  *cli.Output
}

// Command returns the command.
func Command(shared *cli.Options) *cobra.Command {
	o := options{Options: shared}
	c := &cobra.Command{
		Use:     "test [DIR | FILE | -]...",
		Short:   "Test Injections and workloads in files, before they are applied",
		Long:    about,
		Example: examples,
		RunE: func(c *cobra.Command, args []string) error {
			o.files.Filenames = append(o.files.Filenames, args...)

			return o.run(c.Context())
		},
	}

	c.Flags().StringSliceVarP(&o.files.Filenames, "filename", "f", nil, "Files or folders, besides the arguments; - is standard input")
	c.Flags().StringVarP(&o.files.Kustomize, "kustomize", "k", "", "A folder with a kustomization")
	c.Flags().BoolVarP(&o.files.Recursive, "recursive", "R", false, "Also the folders in folders")
	c.Flags().StringArrayVar(&o.labels, "namespace-labels", nil, "The labels of a namespace that is in no file, as NAME:KEY=VALUE,...; may be repeated")
	c.Flags().StringVar(&o.version, "kubernetes-version", "", "Judge the fields of Injections as this version does: 1.34 to 1.37. Default: they are not judged")
	c.Flags().BoolVar(&o.strict, "strict", false, "Each failure on a workload that no test names is a finding")
	c.Flags().BoolVar(&o.update, "update", false, "Write the golden pods of the tests")
	o.output = cli.AddOutput(c, "junit", "github")

	return c
}

func (o *options) run(ctx context.Context) error {
	if len(o.files.Filenames) == 0 && o.files.Kustomize == "" {
		return cli.Unknown("name files or folders, or - for standard input. See kubectl telltale test --help")
	}

	in, err := o.read()
	if err != nil {
		return err
	}

	if err := in.asserts(o.strict); err != nil {
		return err
	}

	results, err := in.judgeAll(ctx)
	if err != nil {
		return err
	}

	if results, err = in.hold(results, o.update); err != nil {
		return err
	}

	for _, r := range results {
		if o.strict && !r.Expected {
			r.strict()
		}
	}

	s := summarise(results, in.limits(o.version))
	if err := o.print(s); err != nil {
		return err
	}

	if s.Failed > 0 {
		return cli.Finding("%d of %d workloads are not as expected", s.Failed, len(s.Results))
	}

	return nil
}

// asserts is an error for a run that can't fail.
func (in *input) asserts(strict bool) error {
	switch {
	case len(in.workloads) == 0:
		return cli.Unknown("there is no workload in these files: no pod, and nothing with a pod template")
	case len(in.names) == 0:
		return cli.Unknown("there is no Injection in these files")
	case len(in.tests) == 0 && !strict:
		return cli.Unknown("nothing is asserted: add a file of kind %s, or say --strict. See kubectl telltale test --help", Kind)
	default:
		return nil
	}
}

func summarise(results []*Result, notJudged []string) *summary {
	s := &summary{APIVersion: "telltale.dev/v1alpha1", Kind: Kind + "Results", Results: results, NotJudged: notJudged}

	for _, r := range results {
		switch {
		case len(r.Faults) > 0:
			s.Failed++
		case r.Expected:
			s.Passed++
		}
	}

	return s
}

func (o *options) print(s *summary) error {
	switch o.output.Format {
	case "json", "yaml":
		return o.output.Write(o.Out, s)
	case "junit":
		return s.junit(o.Out)
	case "github":
		s.github(o.Out)
	default:
		s.people(o.Out)
	}

	return nil
}
