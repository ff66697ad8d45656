package injections

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

const reasonRefused = "InjectionRefused"

// withdrawn are the withdrawals of this term as leader that the cache may not show
// yet, by Injection.
type withdrawn struct {
	mu     sync.Mutex
	edited map[types.NamespacedName][]v1alpha1.Withdrawal
	queue  workqueue.TypedRateLimitingInterface[reconcile.Request]
}

// Withdrawn returns an Injection's withdrawals, or, without a namespace, a
// ClusterInjection's. They may be newer than those that its status has.
func (s *Status) Withdrawn(ctx context.Context, name types.NamespacedName) ([]v1alpha1.Withdrawal, error) {
	s.withdrawn.mu.Lock()
	defer s.withdrawn.mu.Unlock()

	return s.withdrawals(ctx, name)
}

// AllWithdrawn returns the withdrawals of every Injection that has some, by name.
// Those that can't be read are left out, and the error says so.
func (s *Status) AllWithdrawn(ctx context.Context) (all map[types.NamespacedName][]v1alpha1.Withdrawal, err error) {
	all = map[types.NamespacedName][]v1alpha1.Withdrawal{}

	for name := range s.injections.withdrawn.Range {
		name, _ := name.(types.NamespacedName)

		withdrawn, failed := s.Withdrawn(ctx, name)
		if len(withdrawn) > 0 {
			all[name] = withdrawn
		}

		err = errors.Join(err, failed)
	}

	return all, err
}

// Withdraw edits an Injection's withdrawals. They are written to the status soon
// after; edits that come close together are one write. All replicas then know
// them. It is for the leader, while Keep runs.
func (s *Status) Withdraw(
	ctx context.Context, name types.NamespacedName, edit func([]v1alpha1.Withdrawal) []v1alpha1.Withdrawal,
) error {
	s.withdrawn.mu.Lock()
	defer s.withdrawn.mu.Unlock()

	if ctx.Err() != nil {
		return ctx.Err() // the term is over
	}

	before, err := s.withdrawals(ctx, name)
	if err != nil {
		return err
	}

	after := edit(slices.Clone(before))
	if equality.Semantic.DeepEqual(before, after) {
		return nil
	}

	if s.withdrawn.edited == nil {
		s.withdrawn.edited = map[types.NamespacedName][]v1alpha1.Withdrawal{}
	}

	s.withdrawn.edited[name] = after
	if s.withdrawn.queue != nil {
		s.withdrawn.queue.Add(reconcile.Request{NamespacedName: name})
	}

	return nil
}

func (s *Status) withdrawals(ctx context.Context, name types.NamespacedName) ([]v1alpha1.Withdrawal, error) {
	if edited, ok := s.withdrawn.edited[name]; ok {
		return edited, nil
	}

	o := objectFor(reconcile.Request{NamespacedName: name})
	if err := s.client.Get(ctx, name, o); client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("cannot read the status of %T %s: %w", o, name, err)
	}

	return statusOf(o).Withdrawn, nil
}

// retryAsked ends the withdrawals of an object that its annotation asks to end.
func (s *Status) retryAsked(ctx context.Context, name types.NamespacedName, o client.Object) error {
	asked := o.GetAnnotations()[v1alpha1.RetryAnnotation]
	if asked == "" {
		return nil
	}

	return s.Withdraw(ctx, name, func(all []v1alpha1.Withdrawal) []v1alpha1.Withdrawal {
		return v1alpha1.RetryAsked(asked, all, time.Now())
	})
}

// follow is a source of the Injections that are edited, with those that were before
// it began.
func (w *withdrawn) follow(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.queue = queue
	for name := range w.edited {
		queue.Add(reconcile.Request{NamespacedName: name})
	}

	context.AfterFunc(ctx, func() { w.end(queue) })

	return nil
}

// end stops a queue from being used.
func (w *withdrawn) end(queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	w.mu.Lock()
	defer w.mu.Unlock()

	if w.queue == queue {
		w.queue = nil
	}
}

// forgetAll ends a term as leader: the next one begins with what the objects say.
func (w *withdrawn) forgetAll() {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.edited = nil
}

// forget is for an object that is gone, or can't be read now.
func (w *withdrawn) forget(name types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()

	delete(w.edited, name)
}

// into puts the withdrawals of its revision into a status. Those of another
// revision are over: an edited Injection is a new try.
func (w *withdrawn) into(status *v1alpha1.InjectionStatus, name types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()

	if edited, ok := w.edited[name]; ok {
		if equality.Semantic.DeepEqual(edited, status.Withdrawn) {
			delete(w.edited, name) // the object says it now
		}

		status.Withdrawn = edited
	}

	status.Withdrawn = slices.DeleteFunc(slices.Clone(status.Withdrawn), func(one v1alpha1.Withdrawal) bool {
		return one.Revision != status.Revision
	})
	if len(status.Withdrawn) == 0 {
		status.Withdrawn = nil
	}

	withdrawnCondition(status, name.Namespace)
}

// withdrawnCondition says of an Injection that no new pod gets it.
func withdrawnCondition(status *v1alpha1.InjectionStatus, namespace string) {
	at := slices.IndexFunc(status.Withdrawn, func(one v1alpha1.Withdrawal) bool {
		return one.Phase == v1alpha1.WithdrawnPhase && one.Name == "" && one.Namespace == namespace
	})
	if at < 0 {
		meta.RemoveStatusCondition(&status.Conditions, v1alpha1.WithdrawnCondition)

		return
	}

	w := &status.Withdrawn[at]
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: v1alpha1.WithdrawnCondition, Status: metav1.ConditionTrue, Reason: cmp.Or(string(w.Reason), reasonRefused),
		ObservedGeneration: status.ObservedGeneration,
		Message:            "New pods start without it, as pods of many owners " + w.Fate() + ": " + w.Text,
	})
}
