package injections

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

const (
	// quietly is for how long an edit may spread before the status says so. Mostly
	// it takes less than a second, and then Ready says nothing in between.
	quietly = 3 * time.Second
	// lookForPeers is how soon to look again for a replica that lacks an edit.
	lookForPeers = 200 * time.Millisecond
)

// lacking names a replica that may not have this edit yet; "" if all have it. An
// Injection that was Ready with this edit stays so: replicas that begin later
// have it.
func (s *Status) lacking(o client.Object, compiled *patches.Injection) string {
	ready := meta.FindStatusCondition(statusOf(o).Conditions, v1alpha1.ReadyCondition)
	wasReady := ready != nil && ready.Status == metav1.ConditionTrue && ready.ObservedGeneration == o.GetGeneration()

	if wasReady || compiled.Err() != nil || s.injections.stopped() != "" {
		return ""
	}

	peers := s.injections.peers
	if replica := peers.Lacks(kindOf(o), o.GetResourceVersion()); replica != "" {
		return replica
	}

	// A replica may not have heard that injection goes on.
	if ended := s.injections.progress.newestOf(Stop); ended != "" {
		return peers.Lacks(Stop, ended)
	}

	return ""
}

// hold waits for a replica that lacks an edit. After a while the status says so.
// The API server is not asked about the edit meanwhile.
func (s *Status) hold(ctx context.Context, r reconcile.Request, o client.Object, compiled *patches.Injection, replica string) (reconcile.Result, error) {
	again := reconcile.Result{RequeueAfter: lookForPeers}

	since, _ := s.spreading.LoadOrStore(r, time.Now())
	if since, ok := since.(time.Time); ok && time.Since(since) < quietly {
		return again, nil
	}

	status := statusOf(o)

	check := status.ServerCheck
	if check != nil && check.Revision != compiled.Revision() {
		check = nil
	}

	next := statusWith(ctx, status, compiled, check, s.namespaceOf(o), obstacle{
		reasonSpreading, fmt.Sprintf("Replica %q of Telltale does not have this edit yet.", replica),
	})

	return again, s.writeIfNew(ctx, r, o, next)
}

// writeIfNew writes a status if it says something new.
func (s *Status) writeIfNew(ctx context.Context, r reconcile.Request, o client.Object, next v1alpha1.InjectionStatus) error {
	if err := s.retryAsked(ctx, r.NamespacedName, o); err != nil {
		return err
	}

	s.withdrawn.into(&next, r.NamespacedName)
	s.counts.into(&next, r.NamespacedName)

	if equality.Semantic.DeepEqual(&next, statusOf(o)) {
		return nil // mostly: a start finds thousands that are as they should be
	}

	if err := s.write(ctx, o, next); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("cannot write the status of %T %s: %w", o, r, err)
	}

	return nil
}

// obstacle is what keeps an Injection from being in force that has no fault. The
// other replicas read in its status that the API server refuses it no longer, so
// this comes first.
func (s *Status) obstacle(status *v1alpha1.InjectionStatus, compiled *patches.Injection, check *v1alpha1.ServerCheck) obstacle {
	revision := compiled.Revision()

	switch stopped := s.injections.stopped(); {
	case stopped != "":
		return obstacle{reasonStopped, stopped}
	case status.Refusal(revision) != "" && (check == nil || check.Refused == ""):
		return obstacle{reasonSpreading, "The API server takes it now; the replicas of Telltale do not know that yet."}
	case compiled.Mode() == v1alpha1.Preview:
		return obstacle{reasonPreview, "No pod gets it: mode is Preview. status.pods tells how many it would reach."}
	case compiled.Mode() == v1alpha1.Paused:
		return obstacle{reasonPaused, "New pods start without it: mode is Paused."}
	default:
		return s.injections.loading(compiled)
	}
}
