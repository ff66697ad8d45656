package restart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/cli"
)

const (
	// restartedAt is the annotation by which kubectl rollout restart changes a template.
	//
	// Source: defaultObjectRestarter, k8s.io/kubectl v0.37.2
	// pkg/polymorphichelpers/objectrestarter.go.
	restartedAt = "kubectl.kubernetes.io/restartedAt"
	// poll is how often to look how far a rollout is.
	poll = time.Second
)

// rollOut restarts owners, some at a time. Once one is not done in time, no other is
// begun.
func rollOut(ctx context.Context, o *cli.Options, c client.Client, owners []*Owner, f flags) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(f.atOnce)

	begun := 0
	lines := make(chan string)
	printed := make(chan struct{})

	go func() {
		defer close(printed)

		for line := range lines {
			fmt.Fprintln(o.Out, line)
		}
	}()

	for _, owner := range owners {
		if ctx.Err() != nil {
			break
		}

		begun++

		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}

			return rollOutOne(ctx, c, owner, f.timeout, lines)
		})
	}

	err := group.Wait()

	close(lines)
	<-printed

	if err == nil {
		return nil
	}

	return cli.Finding("%w; %d of %d owners were not restarted", err, len(owners)-begun, len(owners))
}

func rollOutOne(ctx context.Context, c client.Client, o *Owner, timeout time.Duration, lines chan<- string) error {
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{
		"annotations": map[string]string{restartedAt: time.Now().Format(time.RFC3339)},
	}}}})
	if err != nil {
		return err
	}

	title := o.title() + " in namespace " + o.Namespace

	if err := c.Patch(ctx, o.object, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("cannot restart %s: %w", title, err)
	}

	lines <- title + " restarted"

	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	last := "it has not begun"

	err = wait.PollUntilContextCancel(ctx, poll, true, func(ctx context.Context) (done bool, err error) {
		if err := c.Get(ctx, o.key(), o.object); err != nil {
			last = err.Error()

			return false, nil //nolint:nilerr // it may come back
		}

		done, last, err = progress(o)

		return done, err
	})

	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the rollout of %s is not done after %v: %s", title, timeout, last)
	case err != nil:
		return fmt.Errorf("the rollout of %s: %w", title, err)
	}

	lines <- title + " rolled out"

	return nil
}

// progress tells how far a rollout is, as kubectl rollout status does.
//
// Source: k8s.io/kubectl v0.37.2 pkg/polymorphichelpers/rollout_status.go.
func progress(o *Owner) (done bool, text string, err error) {
	convert := func(into any) error {
		return runtime.DefaultUnstructuredConverter.FromUnstructured(o.object.Object, into)
	}

	switch o.Kind {
	case "Deployment":
		d := &appsv1.Deployment{}
		if err := convert(d); err != nil {
			return false, "", err
		}

		return deploymentDone(d)
	case "StatefulSet":
		s := &appsv1.StatefulSet{}
		if err := convert(s); err != nil {
			return false, "", err
		}

		done, text = statefulSetDone(s)
	default:
		s := &appsv1.DaemonSet{}
		if err := convert(s); err != nil {
			return false, "", err
		}

		done, text = daemonSetDone(s)
	}

	return done, text, nil
}

func deploymentDone(d *appsv1.Deployment) (bool, string, error) {
	want, s := int32(1), d.Status
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}

	for _, c := range s.Conditions {
		if d.Generation <= s.ObservedGeneration && c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded" {
			return false, "", errors.New("it has exceeded its progress deadline")
		}
	}

	done := d.Generation <= s.ObservedGeneration && s.UpdatedReplicas >= want && s.Replicas <= s.UpdatedReplicas && s.AvailableReplicas >= s.UpdatedReplicas

	return done, fmt.Sprintf("%d of %d pods are new, %d of them available", s.UpdatedReplicas, want, s.AvailableReplicas), nil
}

func statefulSetDone(s *appsv1.StatefulSet) (bool, string) {
	want := int32(1)
	if s.Spec.Replicas != nil {
		want = *s.Spec.Replicas
	}

	if u := s.Spec.UpdateStrategy.RollingUpdate; u != nil && u.Partition != nil {
		want -= *u.Partition
	}

	done := s.Generation <= s.Status.ObservedGeneration && s.Status.UpdatedReplicas >= want && s.Status.ReadyReplicas >= s.Status.Replicas

	return done, fmt.Sprintf("%d of %d pods are new, %d ready", s.Status.UpdatedReplicas, want, s.Status.ReadyReplicas)
}

func daemonSetDone(s *appsv1.DaemonSet) (bool, string) {
	at, want := s.Status, s.Status.DesiredNumberScheduled
	done := s.Generation <= at.ObservedGeneration && at.UpdatedNumberScheduled >= want && at.NumberAvailable >= want

	return done, fmt.Sprintf("%d of %d pods are new, %d available", at.UpdatedNumberScheduled, want, at.NumberAvailable)
}
