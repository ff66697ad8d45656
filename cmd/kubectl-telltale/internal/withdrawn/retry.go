package withdrawn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/cli"
	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/scan"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

const aboutRetry = `End the withdrawals of an Injection or a ClusterInjection now.

From then on, new pods of all owners get it again. Correct first what pods were
refused for: else each owner loses one more pod to a refusal, and the next wait is
twice as long.

The command writes the annotation ` + v1alpha1.RetryAnnotation + ` on the Injection: a time.
Telltale's leader ends the withdrawals that began up to it. You need the right to edit
the Injection ("edit" in its namespace); for a ClusterInjection, that of an
administrator. Pods that exist stay as they are.

For one owner, a new rollout is a new try:
  kubectl rollout restart deployment/checkout -n shop

Exit codes: 0, nothing is withdrawn any more. 1, Telltale did not end it in time.
2, it could not tell, or you may not.`

const (
	// poll is how often to look if the leader has done it.
	poll = 200 * time.Millisecond
	// takesOver is longer than another replica needs to become the leader, 17 s.
	takesOver = 30 * time.Second
)

// RetryCommand returns the command retry.
func RetryCommand(o *cli.Options) *cobra.Command {
	c := &cobra.Command{
		Use:   "retry KIND/NAME",
		Short: "End the withdrawals of an Injection now",
		Long:  aboutRetry,
		Example: `  kubectl telltale retry injection/proxy -n shop
  kubectl telltale retry clusterinjection/corp-ca`,
		Args: cobra.ExactArgs(1),
	}
	timeout := c.Flags().Duration("timeout", takesOver, "How long to wait until Telltale has done it")
	c.RunE = func(c *cobra.Command, args []string) error {
		in, err := find(o, args[0])
		if err != nil {
			return err
		}

		s, err := scan.New(o, false)
		if err != nil {
			return err
		}

		ctx, cancel := context.WithTimeout(c.Context(), *timeout)
		defer cancel()

		return retry(ctx, o, s.Client, in, args[0])
	}

	return c
}

// find returns an empty object of the kind and the name that an argument has.
func find(o *cli.Options, argument string) (scan.Injection, error) {
	kind, name, ok := strings.Cut(argument, "/")
	if !ok || name == "" {
		return scan.Injection{}, cli.Unknown("%q is no KIND/NAME, such as injection/proxy", argument)
	}

	kind, _, _ = strings.Cut(kind, ".")

	switch strings.ToLower(kind) {
	case "injection", "injections":
		namespace, err := o.InNamespace()
		in := &v1alpha1.Injection{}
		in.Namespace, in.Name = namespace, name

		return scan.InjectionOf(in), err
	case "clusterinjection", "clusterinjections":
		in := &v1alpha1.ClusterInjection{}
		in.Name = name

		return scan.InjectionOf(in), nil
	default:
		return scan.Injection{}, cli.Unknown("%s is neither an Injection nor a ClusterInjection. For one owner, a new rollout is a new try: kubectl rollout restart %s", argument, argument)
	}
}

func retry(ctx context.Context, o *cli.Options, c client.Client, in scan.Injection, title string) error {
	if err := c.Get(ctx, client.ObjectKeyFromObject(in), in.Object); err != nil {
		return cli.Unknown("cannot read %s: %w", title, err)
	}

	asked := v1alpha1.AskRetry(in.Status.Withdrawn)
	if asked == "" {
		fmt.Fprintln(o.Out, title+": nothing is withdrawn")

		return nil
	}

	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{v1alpha1.RetryAnnotation: asked}}})
	if err != nil {
		return err
	}

	if err := c.Patch(ctx, in.Object, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return cli.Unknown("cannot ask for it: %w", err)
	}

	return await(ctx, o, c, in, title, asked)
}

// await waits until the leader has ended the withdrawals.
func await(ctx context.Context, o *cli.Options, c client.Reader, in scan.Injection, title, asked string) error {
	until, err := time.Parse(time.RFC3339, asked)
	if err != nil {
		return err
	}

	err = wait.PollUntilContextCancel(ctx, poll, true, func(ctx context.Context) (bool, error) {
		if err := c.Get(ctx, client.ObjectKeyFromObject(in), in.Object); apierrors.IsNotFound(err) {
			return false, cli.Unknown("%s was deleted", title)
		}

		return left(in.Status.Withdrawn, until) == 0, nil
	})

	switch {
	case err == nil:
		fmt.Fprintln(o.Out, title+": new pods get it again")

		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return cli.Finding("%s is asked to be tried again, and Telltale has not done so yet: does it have a leader? See kubectl telltale check", title)
	default:
		return err
	}
}

// left counts the withdrawals of before a time that are still in force.
func left(all []v1alpha1.Withdrawal, until time.Time) (n int) {
	for i := range all {
		if all[i].Phase == v1alpha1.WithdrawnPhase && !all[i].Since.After(until) {
			n++
		}
	}

	return n
}
