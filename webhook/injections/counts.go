package injections

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// spreads is how long a new Injection may take to all replicas, if no leader has
// seen it meanwhile.
const spreads = 30 * time.Second

// sinceNow is when all replicas have an edit that they were first seen to have now.
// An object of the first generation was never edited: if no leader was there when it
// was made, its creation tells the time.
func sinceNow(o client.Object) *metav1.Time {
	now := metav1.Now().Rfc3339Copy()
	if made := metav1.NewTime(o.GetCreationTimestamp().Add(spreads)); o.GetGeneration() == 1 && made.Before(&now) {
		return &made
	}

	return &now
}

// counts are the numbers of pods that the audit has told in this term as leader.
type counts struct {
	mu    sync.Mutex
	told  map[types.NamespacedName]v1alpha1.PodCounts
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
}

// CountPods has the status of an Injection tell how many pods there are. They come
// after edits. It is for the leader, while Keep runs.
func (s *Status) CountPods(name types.NamespacedName, pods v1alpha1.PodCounts) {
	c := &s.counts

	c.mu.Lock()
	defer c.mu.Unlock()

	if c.told == nil {
		c.told = map[types.NamespacedName]v1alpha1.PodCounts{}
	}

	c.told[name] = pods
	if c.queue != nil {
		enqueue(c.queue, name, handler.LowPriority)
	}
}

// follow is a source of Injections: their counts have changed.
func (c *counts) follow(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.queue = queue
	for name := range c.told {
		enqueue(queue, name, handler.LowPriority)
	}

	context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()

		if c.queue == queue {
			c.queue = nil
		}
	})

	return nil
}

// into puts the counts into a status. Where none were told, those of the last leader
// stay.
func (c *counts) into(status *v1alpha1.InjectionStatus, name types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if pods, ok := c.told[name]; ok {
		status.Pods = &pods
	}
}

// audit says in a status that there is no audit, if so. Counts of an earlier one are
// not true for long.
func (s *Status) audit(status *v1alpha1.InjectionStatus) {
	if s.audited {
		meta.RemoveStatusCondition(&status.Conditions, v1alpha1.AuditedCondition)

		return
	}

	status.Pods = nil
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: v1alpha1.AuditedCondition, Status: metav1.ConditionFalse, Reason: reasonNoAudit, ObservedGeneration: status.ObservedGeneration,
		Message: "Telltale runs with --audit=false: it counts no pods, and it does not tell which were created without it, or lost a part.",
	})
}

func (c *counts) forget(name types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()

	delete(c.told, name)
}

func (c *counts) forgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.told = nil
}
