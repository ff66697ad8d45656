package audit

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/telltale-dev/telltale/patches"
)

const (
	// workers look at that many owners at once, with that many calls a second.
	workers, qps, burst = 16, 100, 200
	// patience bounds a look at one owner, calls included.
	patience = time.Minute
	// again is how soon to try again after an error.
	again = 2 * time.Second
	// After a failed call, the next look follows after half a second, later after a
	// minute at most.
	firstRetry, lastRetry = 500 * time.Millisecond, time.Minute
)

// Refusals finds the Injections that pods are refused for, and withdraws them.
type Refusals struct {
	config      *rest.Config
	options     cache.Options // of the cache of events
	reader      client.Reader
	known       Known
	withdrawals Withdrawals
	reporter    Reporter
	log         logr.Logger

	mu      sync.Mutex
	stories map[ownerRef]*story
	trials  map[string]int // how many go on, by namespace; without one: those that are slow
}

// NewRefusals returns what looks for refusals, with the settings of a manager.
func NewRefusals(m manager.Manager, known Known, withdrawals Withdrawals, reporter Reporter, log logr.Logger) (*Refusals, error) {
	cfg := rest.CopyConfig(m.GetConfig())
	cfg.QPS, cfg.Burst = qps, burst

	reader, err := client.New(cfg, client.Options{Scheme: m.GetScheme(), Mapper: m.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("cannot make a client for refused pods: %w", err)
	}

	return &Refusals{
		config: cfg,
		options: cache.Options{
			Scheme: m.GetScheme(), Mapper: m.GetRESTMapper(),
			ByObject: map[client.Object]cache.ByObject{&corev1.Event{}: {
				Field: fields.OneTermEqualSelector("reason", failedCreate), Transform: trim,
			}},
		},
		reader: reader, known: known, withdrawals: withdrawals, reporter: reporter, log: log,
	}, nil
}

// failedCreate is the reason of the event of a controller that could not create a
// pod.
const failedCreate = "FailedCreate"

// trim keeps of an event the part that is read.
func trim(o any) (any, error) {
	e, ok := o.(*corev1.Event)
	if !ok {
		return o, nil
	}

	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: e.Namespace, Name: e.Name, UID: e.UID, ResourceVersion: e.ResourceVersion},
		InvolvedObject: e.InvolvedObject, Message: e.Message, Count: e.Count, LastTimestamp: e.LastTimestamp,
	}, nil
}

// Keep looks for refusals until ctx ends. One process at a time should do it: the
// leader. All that it has to know of earlier terms is in the status of Injections.
func (r *Refusals) Keep(ctx context.Context) {
	_ = wait.PollUntilContextCancel(ctx, firstRetry, true, func(context.Context) (bool, error) {
		_, err := r.known.Match(patches.Traits{}, "")

		return err == nil, nil // until then no Injection is known
	})
	wait.UntilWithContext(ctx, r.keep, again)
}

func (r *Refusals) keep(ctx context.Context) {
	r.mu.Lock()
	r.stories, r.trials = map[ownerRef]*story{}, map[string]int{}
	r.mu.Unlock()
	r.resume(ctx, r.all(ctx)) // before an event tells the end of the same story

	events, err := cache.New(r.config, r.options)

	var c controller.TypedController[ownerRef]
	if err == nil {
		c, err = controller.NewTypedUnmanaged("refusals", controller.TypedOptions[ownerRef]{
			Reconciler:              r,
			SkipNameValidation:      new(true), // the same at each term as leader
			MaxConcurrentReconciles: workers,
			ReconciliationTimeout:   patience,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[ownerRef](firstRetry, lastRetry),
			LogConstructor:          func(*ownerRef) logr.Logger { return r.log },
		})
	}

	if err == nil {
		err = c.Watch(source.TypedKind(events, &corev1.Event{}, handler.TypedFuncs[*corev1.Event, ownerRef]{
			CreateFunc: func(_ context.Context, e event.TypedCreateEvent[*corev1.Event], q workqueue.TypedRateLimitingInterface[ownerRef]) {
				r.hear(e.Object, int(e.Object.Count), q)
			},
			UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[*corev1.Event], q workqueue.TypedRateLimitingInterface[ownerRef]) {
				r.hearMore(e.ObjectOld, e.ObjectNew, q)
			},
		}))
	}

	if err == nil {
		err = c.Watch(source.TypedFunc[ownerRef](r.sweepAll))
	}

	if err == nil {
		go func() { _ = events.Start(ctx) }() // its only error is that of an ended context
		err = c.Start(ctx)
	}

	if err != nil && ctx.Err() == nil {
		r.log.Error(err, "cannot look for refused pods, will try again")
	}
}

// hear takes note of a refusal.
func (r *Refusals) hear(e *corev1.Event, times int, queue workqueue.TypedRateLimitingInterface[ownerRef]) {
	o, ok := ownerOf(&e.InvolvedObject)
	if !ok {
		return
	}

	now, happened := time.Now(), e.LastTimestamp.Time
	if !happened.IsZero() && now.Sub(happened) > trialLimit {
		return // heard at the start: a controller that is refused tries again before that
	}

	words, kind := refusalIn(e.Message)

	r.locked(o, func(s *story) { s.hear(refusal{words: words, kind: kind, at: now, happened: happened}, times) })
	queue.Add(o)
}

// hearMore takes note of refusals that became one event with earlier ones. If that is
// the same as before, it was listed anew.
func (r *Refusals) hearMore(before, after *corev1.Event, queue workqueue.TypedRateLimitingInterface[ownerRef]) {
	if after.ResourceVersion != before.ResourceVersion {
		r.hear(after, int(after.Count-before.Count), queue)
	}
}

// locked calls f with the story of an owner. An empty one is none.
func (r *Refusals) locked(o ownerRef, f func(*story)) {
	r.mu.Lock()
	defer r.mu.Unlock()

	s := r.stories[o]
	if s == nil {
		s = &story{}
		r.stories[o] = s
	}

	f(s)

	if *s == (story{}) {
		delete(r.stories, o)
	}
}

// forget drops the stories that no longer count.
func (r *Refusals) forget(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()

	maps.DeleteFunc(r.stories, func(_ ownerRef, s *story) bool { return s.isOld(now) })
}
