// Package withdrawn has the commands withdrawn, which lists the owners that start
// their pods without an Injection, and retry, which ends that.
package withdrawn

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/cli"
	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/scan"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

const about = `List the owners whose new pods start without an Injection.

If pods with an Injection are refused by a policy, a quota or another webhook, or do
not start because of it, Telltale withdraws it from their owner: its new pods start
without. It is tried again after a while (UNTIL), after an edit of what the Injection
adds, and with each new rollout of the owner. Correct the cause; then
"kubectl telltale retry" ends the withdrawal at once.

An owner is what creates the pods: a ReplicaSet, a StatefulSet, a DaemonSet, a Job. A
CronJob stands for all of its Jobs, and * for all owners in a namespace, or in all.

Phases: Trial, the next pod is tried without it; Withdrawn; Retry, pods get it again.

Exit codes: 0, nothing is withdrawn. 1, something is. 2, it could not tell.`

// row is a withdrawal, as it is printed.
type row struct {
	Injection struct {
		Kind      string `json:"kind"`
		Namespace string `json:"namespace,omitempty"`
		Name      string `json:"name"`
	} `json:"injection"`
	v1alpha1.Withdrawal
}

// Command returns the command withdrawn.
func Command(o *cli.Options) *cobra.Command {
	c := &cobra.Command{
		Use:   "withdrawn",
		Short: "List the owners whose new pods start without an Injection",
		Long:  about,
		Example: `  kubectl telltale withdrawn -A
  kubectl telltale retry injection/proxy -n shop    # its cause is corrected`,
		Args: cobra.NoArgs,
	}
	all := scan.AddFlags(c)
	out := cli.AddOutput(c, "wide")
	c.RunE = func(c *cobra.Command, _ []string) error {
		s, err := scan.New(o, *all)
		if err != nil {
			return err
		}

		return list(c.Context(), o, s, out)
	}

	return c
}

func list(ctx context.Context, o *cli.Options, s *scan.Scan, out *cli.Output) error {
	injections, err := s.Injections(ctx)
	if err != nil {
		return err
	}

	s.Read()

	rows := rowsOf(injections, s.Namespace)

	switch {
	case out.Machine():
		err = out.Write(o.Out, map[string]any{"withdrawn": rows, "unread": s.Unread()})
	case len(rows) == 0:
		s.Says("Nothing is withdrawn.")
	default:
		err = cli.Table(o.Out, header(out.Format == "wide"), cells(rows, out.Format == "wide", time.Now()))
	}

	if err != nil {
		return err
	}

	if slices.ContainsFunc(rows, func(r row) bool { return r.Phase != v1alpha1.RetryPhase }) {
		return s.End(cli.Finding(""))
	}

	return s.End(nil)
}

// rowsOf are the withdrawals that concern pods of a namespace; "" stands for all.
func rowsOf(injections []scan.Injection, namespace string) []row {
	rows := []row{}

	for _, in := range injections {
		for _, w := range in.Status.Withdrawn {
			if namespace != "" && w.Namespace != "" && w.Namespace != namespace {
				continue
			}

			r := row{Withdrawal: w}
			r.Injection.Kind, r.Injection.Namespace, r.Injection.Name = in.Kind, in.GetNamespace(), in.GetName()
			rows = append(rows, r)
		}
	}

	slices.SortStableFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(phase(a), phase(b)), cmp.Compare(a.Namespace, b.Namespace), -a.Since.Compare(b.Since.Time))
	})

	return rows
}

// phase orders withdrawals: those that are in force come first.
func phase(r row) int {
	return slices.Index([]v1alpha1.WithdrawalPhase{v1alpha1.WithdrawnPhase, v1alpha1.TrialPhase, v1alpha1.RetryPhase}, r.Phase)
}

func header(wide bool) []string {
	h := []string{"NAMESPACE", "OWNER", "INJECTION", "PHASE", "SINCE", "UNTIL", "TRIES"}
	if wide {
		h = append(h, "REASON", "REVISION")
	}

	return append(h, "TEXT")
}

func cells(rows []row, wide bool, now time.Time) [][]string {
	all := make([][]string, len(rows))

	for i, r := range rows {
		until := "-"
		if r.Until != nil {
			until = "in " + duration.HumanDuration(max(0, r.Until.Sub(now)))
		}

		all[i] = []string{
			cmp.Or(r.Namespace, "*"), owner(r.Withdrawal), strings.ToLower(r.Injection.Kind) + "/" + r.Injection.Name, string(r.Phase),
			duration.HumanDuration(now.Sub(r.Since.Time)) + " ago", until, fmt.Sprint(r.Tries),
		}
		if wide {
			all[i] = append(all[i], cmp.Or(string(r.Reason), "InjectionRefused"), r.Revision)
		}

		all[i] = append(all[i], r.Text)
	}

	return all
}

func owner(w v1alpha1.Withdrawal) string {
	if w.Name == "" {
		return "*"
	}

	return strings.ToLower(w.Kind) + "/" + w.Name
}
