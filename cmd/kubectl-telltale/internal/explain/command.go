// Package explain is the command explain: why does a pod have an Injection, or lack
// it?
package explain

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/cli"
	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/verdict"
)

const about = `Why does a pod have an Injection, or lack it?

For each Injection that can reach the pod's namespace, a line says what becomes of
it: the pod gets it; it is not selected, and which term of which selector says no;
or it fails, with the reason and the text of the event that there would be. The
judgement is the webhook's own code: conflicts, Pod Security, quotas and limits,
the API server's validation.

Of an object that makes pods, the next pod is explained, and the pods that exist
are looked at as Telltale's audit does. Any kind with a pod template will do.

Marks: ✓ the pod gets it. × it does not, and should. - it is not selected, or the
Injection only looks (mode: Preview). ? could not tell. ‼ a pod that exists is not
as it should be.

Exit codes: 0, the pod gets each Injection that selects it. 1, there is a finding.
2, it could not tell: something that decides could not be read.`

const examples = `  # Why does the next pod of a Deployment not have it?
  kubectl telltale explain deployment/checkout

  # And a pod that exists?
  kubectl telltale explain pod/checkout-5d7f9689b7-x2x9k -n shop

  # Before it is applied, with the changes to the pod
  kubectl telltale explain -f deployment.yaml --diff

  # Ask the real API server as well
  kubectl telltale explain deployment/checkout --dry-run=server

  # For a script
  kubectl telltale explain deployment/checkout -o json`

// options are the flags.
type options struct {
	*cli.Options

	files    resource.FilenameOptions
	selector string
	output   *cli.Output
	diff     bool
	dryRun   string
}

// Command returns the command.
func Command(shared *cli.Options) *cobra.Command {
	o := options{Options: shared}
	c := &cobra.Command{
		Use:     "explain (KIND/NAME | -f FILE)",
		Short:   "Why does a pod have an Injection, or lack it?",
		Long:    about,
		Example: examples,
		RunE:    func(c *cobra.Command, args []string) error { return o.run(c.Context(), args) },
	}

	c.Flags().StringSliceVarP(&o.files.Filenames, "filename", "f", nil, "Files, folders or URLs with the objects; - is standard input")
	c.Flags().StringVarP(&o.files.Kustomize, "kustomize", "k", "", "A folder with a kustomization")
	c.Flags().BoolVarP(&o.files.Recursive, "recursive", "R", false, "Also the folders in folders of -f")
	c.Flags().StringVarP(&o.selector, "selector", "l", "", "Explain all objects of a kind with these labels: explain pods -l app=checkout")
	c.Flags().BoolVar(&o.diff, "diff", false, "Also print the changes to the pod")
	c.Flags().StringVar(&o.dryRun, "dry-run", "none", `"server": also ask the API server, by a dry run of the pod, and say where its answer differs`)
	o.output = cli.AddOutput(c)

	return c
}

// list is the output for programs.
type list struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Items      []*Report `json:"items"`
}

func (o *options) run(ctx context.Context, args []string) error {
	if o.dryRun != "none" && o.dryRun != "server" {
		return cli.Unknown(`--dry-run must be "none" or "server"`)
	}

	subjects, exist, err := o.subjects(args)
	if err != nil {
		return err
	}

	reports, err := o.explainAll(ctx, subjects, exist)
	if err != nil {
		return err
	}

	if o.output.Machine() {
		err = o.output.Write(o.Out, list{"telltale.dev/v1alpha1", "ExplanationList", reports})
	} else {
		o.print(reports)
	}

	if err != nil {
		return err
	}

	return exitOf(reports)
}

func (o *options) print(reports []*Report) {
	p := printer{Writer: o.Out, Style: cli.StyleOf(o.Out), width: cli.Width(o.Out), diff: o.diff}

	for i, r := range reports {
		if i > 0 {
			fmt.Fprintln(o.Out)
		}

		p.report(r)
	}
}

// exitOf is the error that makes the exit code.
func exitOf(reports []*Report) error {
	findings, unread := 0, 0

	for _, r := range reports {
		findings += len(r.Findings)

		for _, u := range r.Unread {
			if u.Decides {
				unread++
			}
		}
	}

	switch {
	case findings == 1:
		return cli.Finding("1 finding")
	case findings > 0:
		return cli.Finding("%d findings", findings)
	case unread > 0:
		return cli.Unknown("could not tell: something that decides could not be read (marked ?)")
	default:
		return nil
	}
}

// subjects are the objects to explain. exist is true if they were read from the API
// server.
func (o *options) subjects(args []string) (all []*unstructured.Unstructured, exist bool, err error) {
	given := len(o.files.Filenames) > 0 || o.files.Kustomize != ""
	if given == (len(args) > 0) {
		return nil, false, cli.Unknown("name what to explain: KIND/NAME, or -f FILE. See kubectl telltale explain --help")
	}

	namespace, err := o.InNamespace()
	if err != nil {
		return nil, false, err
	}

	b := resource.NewBuilder(o.Options).Unstructured().NamespaceParam(namespace).DefaultNamespace().Flatten()
	if given {
		b = b.FilenameParam(false, &o.files)
	} else {
		b = b.LabelSelectorParam(o.selector).ResourceTypeOrNameArgs(o.selector != "", args...)
	}

	infos, err := b.Do().Infos()
	if err != nil {
		if !given {
			err = o.cause(err)
		}

		return nil, false, cli.Unknown("cannot read what to explain: %w", err)
	}

	for _, info := range infos {
		u, err := runtime.DefaultUnstructuredConverter.ToUnstructured(info.Object)
		if err != nil {
			return nil, false, err
		}

		one := &unstructured.Unstructured{Object: u}
		if one.GetNamespace() == "" {
			one.SetNamespace(info.Namespace)
		}

		all = append(all, one)
	}

	return all, !given, nil
}

// cause tells why objects could not be read. Where an API server does not answer in time,
// the library says that it does not have their kind.
func (o *options) cause(err error) error {
	server, failed := o.ToDiscoveryClient()
	if failed == nil {
		_, failed = server.ServerVersion()
	}

	return cmp.Or(failed, err)
}

// explainAll explains the objects that have pods. It reads once for each namespace
// all that decides there.
func (o *options) explainAll(ctx context.Context, objects []*unstructured.Unstructured, exist bool) (reports []*Report, err error) {
	reading, err := o.Client()
	if err != nil {
		return nil, err
	}

	known := map[string]*facts{}
	server := o.release(exist)

	for _, u := range objects {
		s, err := verdict.SubjectOf(u)
		if err != nil {
			return nil, err
		}

		if s == nil {
			continue
		}

		f := known[s.Namespace]
		if f == nil {
			if f, err = readFacts(ctx, &reader{Client: reading}, s.Namespace); err != nil {
				return nil, err
			}

			server.tell(f)
			known[s.Namespace] = f
		}

		r, err := o.explainOne(ctx, &reader{Client: reading, unread: f.unread}, f, s, u, exist)
		if err != nil {
			return nil, err
		}

		reports = append(reports, r)
	}

	if len(reports) == 0 {
		return nil, cli.Unknown("none of these objects is a pod, or has a pod template")
	}

	return reports, nil
}

func (o *options) explainOne(
	ctx context.Context, r *reader, f *facts, s *verdict.Subject, u *unstructured.Unstructured, exists bool,
) (*Report, error) {
	if exists && s.Kind == "Deployment" {
		underNewest(ctx, r, s, u)
	}

	report, err := f.explain(ctx, s, exists && !s.Template)
	if err != nil {
		return nil, err
	}

	if o.diff {
		report.Before, report.After = report.before, report.after
	}

	if exists {
		f.live(ctx, r, s, report)
	}

	if o.dryRun == "server" {
		askServer(ctx, r, s, report)
	}

	if report.Server == nil || report.Server.Refused != "" {
		report.Unread = append(report.Unread, report.doubts...)
	}

	return report, nil
}
