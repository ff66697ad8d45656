// Package audit finds out what becomes of pods after the webhook's answer. The
// leader audits.
//
//	refusals := audit.NewRefusals(reader, cache, known, status, reporter, log)
//	refusals.Keep(ctx) // in the leader
//	trials := audit.NewTrials(known, reader, reporter, log)
//	trials.Run(ctx) // in every replica
//	selectors := audit.NewSelectors(manager, log)
//	selectors.Start(ctx) // in every replica
//
// Refusals looks for pods that were refused after they were injected: by a
// policy, another webhook, a quota. The next pod of the same controller is tried
// without an Injection. If that pod is created, the Injection was to blame, and
// the controller's pods start without it from then on (telltale.TestRefusedByPolicy).
//
// A pod that exists and does not start because of an Injection needs no trial:
// WithdrawStuck withdraws the Injection at once.
//
// Selectors finds out in every replica which labels the controllers of pods
// exclude: no controller refuses such a pod, but none owns it.
//
// A failure of a trial is known to be one only when its outcome is known. Until
// then Trials holds it.
package audit

import (
	"context"

	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// Reporter shows failures to the people that can fix them.
type Reporter interface {
	Report(f failure.Failure)
}

// Known are the compiled Injections of the cluster.
type Known interface {
	// Match returns the Injections that select a pod.
	Match(pod patches.Traits, namespace string) ([]patches.Match, error)
	// Get returns an Injection, or, without a namespace, a ClusterInjection, or nil.
	Get(namespace, name string) *patches.Injection
}

// Withdrawals are kept in the status of Injections, where all replicas read them.
type Withdrawals interface {
	// Withdrawn returns those of one Injection.
	Withdrawn(ctx context.Context, name types.NamespacedName) ([]v1alpha1.Withdrawal, error)
	// AllWithdrawn returns those of every Injection that has some. With an error,
	// some may lack.
	AllWithdrawn(ctx context.Context) (map[types.NamespacedName][]v1alpha1.Withdrawal, error)
	// Withdraw edits those of one Injection.
	Withdraw(ctx context.Context, name types.NamespacedName, edit func([]v1alpha1.Withdrawal) []v1alpha1.Withdrawal) error
}
