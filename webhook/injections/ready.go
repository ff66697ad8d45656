package injections

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// The reasons of the Ready condition.
const (
	reasonInForce = "InForce"
	reasonInvalid = "InjectionInvalid"
)

// lookAgain is how soon to look again for an edit that the set does not have
// yet.
const lookAgain = 50 * time.Millisecond

// writeReady adds to a manager the two controllers that write Ready. Every
// replica runs them. All write the same, and only if the object says otherwise.
func (in *Injections) writeReady(m manager.Manager) error {
	return errors.Join(
		control(m, in, &v1alpha1.Injection{}),
		control(m, in, &v1alpha1.ClusterInjection{}),
	)
}

func control[T client.Object](m manager.Manager, in *Injections, kind T) error {
	err := builder.ControllerManagedBy(m).
		For(kind, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{
			CacheSyncTimeout: math.MaxInt64, // if a CRD is missing, wait; do not end
			// A logger for each object would be 7 KB of garbage; errors name their
			// object.
			LogConstructor: func(*reconcile.Request) logr.Logger { return in.log },
		}).
		Complete(reconcile.AsReconciler(m.GetClient(), readiness[T]{in, m.GetClient()}))
	if err != nil {
		return fmt.Errorf("cannot set up the controller of %T: %w", kind, err)
	}

	return nil
}

// readiness writes the Ready condition of one kind of object.
type readiness[T client.Object] struct {
	injections *Injections
	client     client.Client
}

// Reconcile waits until the Injections are loaded: before that, the set is
// empty.
func (r readiness[T]) Reconcile(ctx context.Context, o T) (reconcile.Result, error) {
	select {
	case <-r.injections.loaded:
		return r.injections.ready(ctx, r.client, o)
	case <-ctx.Done():
		return reconcile.Result{}, ctx.Err()
	}
}

// ready writes the Ready condition of one object, once the set has this edit of
// it. If Ready is True, the edit is in force in this process.
func (in *Injections) ready(ctx context.Context, c client.Client, o client.Object) (reconcile.Result, error) {
	compiled := in.compiled(o)
	if compiled == nil {
		return reconcile.Result{RequeueAfter: lookAgain}, nil
	}

	condition := metav1.Condition{
		Type: v1alpha1.ReadyCondition, Status: metav1.ConditionTrue, Reason: reasonInForce,
		Message: "Pods that are created from now on get it.", ObservedGeneration: o.GetGeneration(),
	}
	if err := compiled.Err(); err != nil {
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, reasonInvalid, err.Error()
	}

	status := statusOf(o).DeepCopy()
	changed := meta.SetStatusCondition(&status.Conditions, condition)

	if !changed && status.ObservedGeneration == o.GetGeneration() {
		return reconcile.Result{}, nil // mostly: at the start, thousands are right already
	}

	before := o.DeepCopyObject().(client.Object)
	status.ObservedGeneration = o.GetGeneration()
	*statusOf(o) = *status

	if err := c.Status().Patch(ctx, o, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("cannot write the status of %T %s/%s: %w", o, o.GetNamespace(), o.GetName(), err)
	}

	return reconcile.Result{}, nil
}

func statusOf(o client.Object) *v1alpha1.InjectionStatus {
	if cluster, ok := o.(*v1alpha1.ClusterInjection); ok {
		return &cluster.Status
	}

	return &o.(*v1alpha1.Injection).Status
}
