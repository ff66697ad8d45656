package audit

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// outcomePeriod is how often to look for the outcomes of trials.
const outcomePeriod = 200 * time.Millisecond

// Trials hands failures on to a reporter. It holds those of a trial until its
// outcome is known: if the Injection was to blame, they are failures, else not. Nor
// are those of pods that were refused for another Injection, which they still had.
type Trials struct {
	known    Known
	reporter Reporter

	mu   sync.Mutex
	held map[trialKey]*heldFailures
}

// trialKey is an Injection, an owner, and the Injections that its pods got.
type trialKey struct {
	injection failure.Injection
	revision  string
	owner     failure.Ref
	with      string
}

type heldFailures struct {
	since  metav1.Time // of the trial
	count  int
	newest failure.Failure
}

// isOf tells whether these are failures of a trial that goes on, or became this
// withdrawal. One for many owners does not tell when their trials began.
func (h *heldFailures) isOf(w *v1alpha1.Withdrawal) bool {
	return w.Name == "" || h.since.Equal(&w.Since)
}

// NewTrials returns Trials that hold nothing.
func NewTrials(known Known, reporter Reporter) *Trials {
	return &Trials{known: known, reporter: reporter, held: map[trialKey]*heldFailures{}}
}

// Report hands a failure on, or holds it while the trial that it belongs to goes
// on.
func (t *Trials) Report(f failure.Failure) {
	if !f.Trial {
		t.reporter.Report(f)

		return
	}

	w := t.withdrawal(f)
	if w == nil {
		return // the trial has just failed: not our fault
	}

	t.mu.Lock()
	defer t.mu.Unlock()

	key := trialKey{f.Injection, f.Revision, f.Owner, f.With}

	held := t.held[key]
	if held == nil || !held.isOf(w) {
		held = &heldFailures{since: w.Since}
		t.held[key] = held
	}

	held.count++
	held.newest = f
}

// Run looks for outcomes until ctx ends. Then it looks once more, and lets go of
// failures of trials that still go on.
func (t *Trials) Run(ctx context.Context) error {
	tick := time.NewTicker(outcomePeriod)
	defer tick.Stop()

	for {
		select {
		case <-tick.C:
			t.settle()
		case <-ctx.Done():
			t.settle()

			return nil
		}
	}
}

// settle reports the failures of trials that have passed, and drops those of
// trials that have failed.
func (t *Trials) settle() {
	t.mu.Lock()
	defer t.mu.Unlock()

	for key, held := range t.held {
		w := t.withdrawal(held.newest)
		passed := w != nil && held.isOf(w)
		if passed && w.Phase == v1alpha1.TrialPhase {
			continue
		}

		delete(t.held, key)

		if !passed || t.wasRefused(held.newest) {
			continue
		}

		held.newest.Trial, held.newest.With = false, ""
		for range held.count {
			t.reporter.Report(held.newest)
		}
	}
}

// withdrawal returns the withdrawal that a failure belongs to, as it is now.
func (t *Trials) withdrawal(f failure.Failure) *v1alpha1.Withdrawal {
	in := t.get(f.Injection, f.Owner)
	if in == nil || in.Revision() != f.Revision {
		return nil
	}

	return in.WithdrawnFor(reference(f.Owner), f.Owner.Namespace)
}

// wasRefused tells whether a pod had an Injection that is withdrawn by now.
func (t *Trials) wasRefused(f failure.Failure) bool {
	return slices.ContainsFunc(strings.Fields(f.With), func(recorded string) bool {
		name, cluster := strings.CutPrefix(recorded, "cluster/")
		in := t.get(failure.Injection{Cluster: cluster, Name: name}, f.Owner)

		return in != nil && in.WithdrawnFor(reference(f.Owner), f.Owner.Namespace) != nil
	})
}

func (t *Trials) get(in failure.Injection, owner failure.Ref) *patches.Injection {
	namespace := owner.Namespace
	if in.Cluster {
		namespace = ""
	}

	return t.known.Get(namespace, in.Name)
}

func reference(owner failure.Ref) *metav1.OwnerReference {
	return &metav1.OwnerReference{Kind: owner.Kind, Name: owner.Name, UID: owner.UID}
}
