//go:build apiserver

package injections

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/harness"
)

// TestRetryAsked has an annotation end a withdrawal, in the leader's memory as well as in
// the status. It ends none that begins later, not in the next term either.
func TestRetryAsked(t *testing.T) {
	cp, c := withShop(t)
	name := types.NamespacedName{Namespace: "shop", Name: "proxy"}

	if err := c.Create(t.Context(), injection(name.Name, 0, "A")); err != nil {
		t.Fatal(err)
	}

	var status *Status

	leads := func(in *Injections, m manager.Manager) func(context.Context) {
		s, err := in.Status(m, "default", true)
		if err != nil {
			t.Fatal(err)
		}

		status = s

		return s.Keep
	}

	_, stop := start(t, cp, logr.Discard(), leads)
	o := &v1alpha1.Injection{}
	phases := func(want ...v1alpha1.WithdrawalPhase) {
		t.Helper()
		harness.Eventually(t, fmt.Sprint(want), func(ctx context.Context) error {
			if err := c.Get(ctx, name, o); err != nil {
				return err
			}

			if o.Status.Revision == "" {
				return fmt.Errorf("the leader has not seen it")
			}

			got := []v1alpha1.WithdrawalPhase{}
			for _, w := range o.Status.Withdrawn {
				got = append(got, w.Phase)
			}

			if fmt.Sprint(got) != fmt.Sprint(want) {
				return fmt.Errorf("got %v", got)
			}

			return nil
		})
	}
	withdraw := func(owner string, since time.Time) {
		t.Helper()

		until := metav1.NewTime(since.Add(time.Hour))

		harness.Eventually(t, "a leader that withdraws", func(ctx context.Context) error {
			return status.Withdraw(ctx, name, func(all []v1alpha1.Withdrawal) []v1alpha1.Withdrawal {
				return append(all, v1alpha1.Withdrawal{
					Namespace: "shop", Kind: "ReplicaSet", Name: owner, UID: types.UID(owner), Revision: o.Status.Revision, Phase: v1alpha1.WithdrawnPhase,
					Since: metav1.NewTime(since).Rfc3339Copy(), Until: &until, Tries: 1, Text: "no image",
				})
			})
		})
	}

	phases()

	now := time.Now().Truncate(time.Second)
	withdraw("a", now.Add(-time.Minute))
	withdraw("b", now.Add(-time.Hour))
	phases(v1alpha1.WithdrawnPhase, v1alpha1.WithdrawnPhase)

	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{v1alpha1.RetryAnnotation: v1alpha1.AskRetry(o.Status.Withdrawn)}}})
	if err != nil {
		t.Fatal(err)
	}

	if err := c.Patch(t.Context(), o, client.RawPatch(types.MergePatchType, patch)); err != nil {
		t.Fatal(err)
	}

	phases(v1alpha1.RetryPhase, v1alpha1.RetryPhase)

	if known, err := status.Withdrawn(t.Context(), name); err != nil || known[0].Phase != v1alpha1.RetryPhase || known[0].Until != nil || known[0].Tries != 1 {
		t.Errorf("the leader knows %+v (%v)", known, err)
	}

	withdraw("c", now.Add(-time.Second))
	phases(v1alpha1.RetryPhase, v1alpha1.RetryPhase, v1alpha1.WithdrawnPhase)
	stop()

	start(t, cp, logr.Discard(), leads)
	withdraw("d", now)
	phases(v1alpha1.RetryPhase, v1alpha1.RetryPhase, v1alpha1.WithdrawnPhase, v1alpha1.WithdrawnPhase)
}
