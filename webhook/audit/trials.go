package audit

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
)

const (
	// outcomePeriod is how often to look for the outcomes of trials.
	outcomePeriod = 200 * time.Millisecond
	// lastOutcomes is how long to wait for them at the end: longer than another
	// replica needs to take over from the leader.
	lastOutcomes = 10 * time.Second
)

// Trials hands failures on to a reporter. It holds those of a trial until its
// outcome is known: if the Injection was to blame, they are failures, else not. Nor
// are those of pods that were refused for another Injection, which they still had.
type Trials struct {
	known    Known
	reader   client.Reader
	reporter Reporter
	log      logr.Logger

	mu   sync.Mutex
	held map[trialKey]*heldFailures
	read map[types.NamespacedName][]v1alpha1.Withdrawal // at the end, as known no longer changes
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

// NewTrials returns Trials that hold nothing. The reader asks the API server itself: it
// is for the end, when no cache is kept any more.
func NewTrials(known Known, reader client.Reader, reporter Reporter, log logr.Logger) *Trials {
	return &Trials{
		known: known, reader: reader, reporter: reporter, log: log,
		held: map[trialKey]*heldFailures{}, read: map[types.NamespacedName][]v1alpha1.Withdrawal{},
	}
}

// Report hands a failure on, or holds it while the trial that it belongs to goes
// on.
func (t *Trials) Report(f failure.Failure) {
	if !f.Trial {
		t.reporter.Report(f)

		return
	}

	t.mu.Lock()
	defer t.mu.Unlock()

	w := t.withdrawal(f)
	if w == nil {
		return // the trial has just failed: not our fault
	}

	key := trialKey{f.Injection, f.Revision, f.Owner, f.With}

	held := t.held[key]
	if held == nil || !held.isOf(w) {
		held = &heldFailures{since: w.Since}
		t.held[key] = held
	}

	held.count++
	held.newest = f
}

// Run looks for outcomes until ctx ends. Then it waits for the last ones, for 10 s at
// most, and lets go of failures of trials that still go on.
func (t *Trials) Run(ctx context.Context) error {
	wait.UntilWithContext(ctx, func(context.Context) { t.endTrials() }, outcomePeriod)

	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastOutcomes)
	defer cancel()

	_ = wait.PollUntilContextCancel(last, outcomePeriod, true, func(ctx context.Context) (bool, error) {
		for in := range t.awaited() {
			t.readOne(ctx, in)
		}

		t.endTrials()

		return len(t.awaited()) == 0, nil
	})

	for key, held := range t.held {
		t.log.Info("ended in a trial: these pods are not counted if the Injection is to blame", "injection", key.injection.String(),
			"owner", key.owner.String(), "pods", held.count)
	}

	return nil
}

// awaited are the Injections that the outcomes of trials depend on.
func (t *Trials) awaited() map[types.NamespacedName]bool {
	t.mu.Lock()
	defer t.mu.Unlock()

	names := map[types.NamespacedName]bool{}

	for key, held := range t.held {
		names[nameIn(key.injection, key.owner.Namespace)] = true

		for recorded := range strings.FieldsSeq(held.newest.With) {
			names[nameIn(failure.InjectionOf(recorded), key.owner.Namespace)] = true
		}
	}

	return names
}

// readOne reads an Injection's withdrawals. While the API server is away, nothing
// changes.
func (t *Trials) readOne(ctx context.Context, name types.NamespacedName) {
	own, cluster := &v1alpha1.Injection{}, &v1alpha1.ClusterInjection{}
	object, status := client.Object(own), &own.Status

	if name.Namespace == "" {
		object, status = cluster, &cluster.Status
	}

	if err := t.reader.Get(ctx, name, object); client.IgnoreNotFound(err) == nil {
		t.mu.Lock()
		defer t.mu.Unlock()

		t.read[name] = status.Withdrawn
	}
}

// endTrials reports the failures of trials that have passed, and drops those of
// trials that have failed.
func (t *Trials) endTrials() {
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
		in := t.get(failure.InjectionOf(recorded), f.Owner)

		return in != nil && in.WithdrawnFor(reference(f.Owner), f.Owner.Namespace) != nil
	})
}

func (t *Trials) get(in failure.Injection, owner failure.Ref) *patches.Injection {
	name := nameIn(in, owner.Namespace)

	known := t.known.Get(name.Namespace, name.Name)
	if read, ok := t.read[name]; ok && known != nil {
		return known.Withdrawn(read)
	}

	return known
}

// nameIn is an Injection's name among the objects of a cluster.
func nameIn(in failure.Injection, namespace string) types.NamespacedName {
	if in.Cluster {
		namespace = ""
	}

	return types.NamespacedName{Namespace: namespace, Name: in.Name}
}

func reference(owner failure.Ref) *metav1.OwnerReference {
	return &metav1.OwnerReference{Kind: owner.Kind, Name: owner.Name, UID: owner.UID}
}
