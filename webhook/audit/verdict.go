package audit

import (
	"context"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// acquit ends a trial that has failed. Nothing is said, and nothing changes.
func (r *Refusals) acquit(ctx context.Context, s *story) error {
	t := s.trial

	err := r.drop(ctx, s)
	if err == nil {
		s.acquit(t, time.Now())
	}

	return err
}

// drop ends a trial that has shown nothing.
func (r *Refusals) drop(ctx context.Context, s *story) error {
	if err := r.edit(ctx, s.trial, s.trial.without, acquit); err != nil {
		return err
	}

	r.count(s.trial, -1)
	s.end()

	return nil
}

// convict ends a trial that has passed. If so many owners have one that it is
// withdrawn from all pods, the Injection itself gets an event.
func (r *Refusals) convict(ctx context.Context, s *story) error {
	t, now := s.trial, time.Now()

	err := r.edit(ctx, t, t.without, func(key v1alpha1.Withdrawal, revision string) edit { return convict(key, revision, now) })
	if err != nil {
		return err
	}

	for _, in := range t.left() {
		r.log.Info("pods start without an Injection, as pods with it were refused", "injection", in.String(), "namespace", t.key.Namespace,
			"kind", t.key.Kind, "name", t.key.Name)
	}

	r.count(t, -1)
	s.convict(now)

	return nil
}

// edit edits the withdrawals of some of the suspects of a trial.
func (r *Refusals) edit(ctx context.Context, t *trial, which suspects, change func(v1alpha1.Withdrawal, string) edit) (err error) {
	which.each(func(i int) {
		if err == nil {
			err = r.withdraw(ctx, t.suspects[i].injection, change(t.key, t.suspects[i].injection.Revision()))
		}
	})

	return err
}

func (r *Refusals) withdraw(ctx context.Context, in *patches.Injection, change edit) error {
	var whole *v1alpha1.Withdrawal

	err := r.withdrawals.Withdraw(ctx, nameOf(in), func(before []v1alpha1.Withdrawal) []v1alpha1.Withdrawal {
		was := wholly(before, in)
		after := change(before)

		if whole = wholly(after, in); was != nil {
			whole = nil
		}

		return after
	})
	if err == nil && whole != nil {
		r.reportWhole(in, whole)
	}

	return err
}

// wholly returns the withdrawal from all pods that an Injection can have, or nil.
func wholly(all []v1alpha1.Withdrawal, in *patches.Injection) *v1alpha1.Withdrawal {
	for i, w := range all {
		if w.Name == "" && w.Namespace == in.Namespace && w.Phase == v1alpha1.WithdrawnPhase {
			return &all[i]
		}
	}

	return nil
}

// reportWhole shows on an Injection that no new pod gets it.
func (r *Refusals) reportWhole(in *patches.Injection, w *v1alpha1.Withdrawal) {
	kind := "Injection"
	if in.Cluster() {
		kind = "ClusterInjection"
	}

	r.reporter.Report(failure.Failure{
		Reason: failure.Refused, Injection: failure.Injection{Cluster: in.Cluster(), Name: in.Name}, Revision: in.Revision(),
		Owner: failure.Ref{APIVersion: v1alpha1.GroupVersion.String(), Kind: kind, Namespace: in.Namespace, Name: in.Name, UID: in.UID},
		Text:  "new pods start without it, as pods of many owners " + w.Fate() + ": " + strings.TrimRight(w.Text, ".") + ". Correct the Injection, or the cause.",
	})
}

func nameOf(in *patches.Injection) types.NamespacedName {
	return types.NamespacedName{Namespace: in.Namespace, Name: in.Name}
}

func (o *owner) failureRef() failure.Ref {
	return failure.Ref{APIVersion: o.apiVersion, Kind: o.kind, Namespace: o.namespace, Name: o.name, UID: o.uid}
}

// mayTry tells whether one more trial may begin in a namespace.
func (r *Refusals) mayTry(namespace string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()

	all := -r.trials[""] // these keep no other from beginning
	for _, n := range r.trials {
		all += n
	}

	return r.trials[namespace] < trialsAtOnce && all < manyWithdrawals
}

// letWait no longer counts a trial among those that keep others from beginning. It is
// false if as many wait as may.
func (r *Refusals) letWait(t *trial) bool {
	r.mu.Lock()
	defer r.mu.Unlock()

	if r.trials[""] >= manyWithdrawals {
		return false
	}

	r.add(t.key.Namespace, -1)
	t.slow = true
	r.add("", 1)

	return true
}

func (r *Refusals) count(t *trial, more int) {
	r.mu.Lock()
	defer r.mu.Unlock()

	namespace := t.key.Namespace
	if t.slow {
		namespace = ""
	}

	r.add(namespace, more)
}

// add counts trials under a lock that is held.
func (r *Refusals) add(namespace string, more int) {
	if r.trials[namespace] += more; r.trials[namespace] <= 0 {
		delete(r.trials, namespace)
	}
}
