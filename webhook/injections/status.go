package injections

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

const (
	// fieldManager owns the fields that are written.
	fieldManager = "telltale-status"
	// writes is how many statuses are written a second, at most.
	writes = 20
	// workers look at that many Injections at once.
	workers = 4
	// patience bounds a look at one Injection, calls included.
	patience = time.Minute
	// lookAgain is how soon to look for an edit that the set lacks yet.
	lookAgain = 50 * time.Millisecond
	// After a failure, the next try follows after a second, later after a minute at
	// most.
	firstRetry, lastRetry = time.Second, time.Minute
)

// Status keeps the status of all Injections right.
type Status struct {
	injections *Injections
	cache      cache.Cache
	client     client.Client
	server     *server
	writes     *rate.Limiter
	unasked    workqueue.TypedRateLimiter[reconcile.Request] // when to ask again
	complain   rate.Sometimes
	log        logr.Logger
	audited    bool
	withdrawn  withdrawn
	counts     counts
	spreading  sync.Map // reconcile.Request → time.Time: when a replica was first found to lack it
}

// Status returns what keeps the status right, with a manager's clients. The API
// server is asked in Telltale's own namespace. If no audit counts pods, the status
// says so.
func (in *Injections) Status(m manager.Manager, namespace string, audited bool) (*Status, error) {
	server, err := newServer(m.GetConfig(), namespace)
	if err != nil {
		return nil, err
	}

	return &Status{
		injections: in, cache: m.GetCache(), client: m.GetClient(), server: server,
		writes:   rate.NewLimiter(writes, 1),
		unasked:  workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstQuestion, lastQuestion),
		complain: rate.Sometimes{Interval: time.Minute},
		log:      in.log,
		audited:  audited,
	}, nil
}

// Keep keeps the status right until ctx ends. It looks at each Injection once,
// then at each that changes. It writes only if something differs, 20 statuses a
// second at most (TestWritesAreBounded). It asks the API server about each new
// revision, ten times a second at most. Edits come before the Injections that are
// there at its start. One process at a time should do it: the leader.
func (s *Status) Keep(ctx context.Context) {
	defer s.withdrawn.forgetAll()
	defer s.counts.forgetAll()

	select {
	case <-s.injections.loaded: // until then the set has none
	case <-ctx.Done():
		return
	}

	wait.UntilWithContext(ctx, s.keep, retry)
}

func (s *Status) keep(ctx context.Context) {
	c, err := controller.NewUnmanaged("status", controller.Options{
		Reconciler:              s,
		SkipNameValidation:      new(true), // the same at each term as leader
		UsePriorityQueue:        new(true), // intoQueue needs it
		MaxConcurrentReconciles: workers,
		ReconciliationTimeout:   patience,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry),
		// A logger of its own for each object is 7 KB of garbage; errors name theirs.
		LogConstructor: func(*reconcile.Request) logr.Logger { return s.log },
	})
	for _, kind := range []client.Object{&v1alpha1.Injection{}, &v1alpha1.ClusterInjection{}} {
		if err == nil {
			err = c.Watch(s.follow(kind))
		}
	}

	for _, follow := range []source.Func{s.followChanges, s.withdrawn.follow, s.counts.follow} {
		if err == nil {
			err = c.Watch(follow)
		}
	}

	if err == nil {
		err = c.Start(ctx)
	}

	if err != nil {
		s.log.Error(err, "cannot keep the status of Injections, will try again")
	}
}

// follow returns a source of all objects of a kind, and of each that changes.
// controller-runtime's own would stay with the informer when ctx ends.
func (s *Status) follow(kind client.Object) source.Func {
	return func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		informer, err := s.cache.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("cannot watch %T: %w", kind, err)
		}

		registration, err := informer.AddEventHandler(intoQueue(queue))
		if err != nil {
			return fmt.Errorf("cannot watch %T: %w", kind, err)
		}

		context.AfterFunc(ctx, func() { _ = informer.RemoveEventHandler(registration) })

		return nil
	}
}

// followChanges is a source of the Injections of a namespace, when something else
// changes that their status tells: its LimitRanges or ResourceQuotas, or that all
// injection stops or goes on. Edits of Injections come first.
func (s *Status) followChanges(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	hear := func(namespace string) {
		for _, name := range s.injections.known.Load().Names(namespace) {
			enqueue(queue, types.NamespacedName{Namespace: namespace, Name: name}, handler.LowPriority)
		}
	}

	s.injections.onChange.Store(&hear)
	context.AfterFunc(ctx, func() { s.injections.onChange.CompareAndSwap(&hear, nil) })

	return nil
}

// intoQueue adds objects to a queue. Those that users have made or edited come
// before those that are there at the start, and before changes of a status.
func intoQueue(queue workqueue.TypedRateLimitingInterface[reconcile.Request]) toolscache.ResourceEventHandler {
	add := func(o any, first bool) {
		object, ok := o.(client.Object)
		if !ok {
			return // cannot be
		}

		priority := handler.LowPriority
		if first {
			priority = 0
		}

		enqueue(queue, client.ObjectKeyFromObject(object), priority)
	}

	return toolscache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(o any, isAtStart bool) { add(o, !isAtStart) },
		UpdateFunc: func(before, after any) {
			b, _ := before.(client.Object)
			a, _ := after.(client.Object)
			add(after, b != nil && a != nil && b.GetGeneration() != a.GetGeneration())
		},
	}
}

func enqueue(queue workqueue.TypedRateLimitingInterface[reconcile.Request], key types.NamespacedName, priority int) {
	prioritized, _ := queue.(priorityqueue.PriorityQueue[reconcile.Request]) // as keep asks for
	prioritized.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, reconcile.Request{NamespacedName: key})
}

// Reconcile looks at one Injection, or, without a namespace, ClusterInjection.
func (s *Status) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	result, err := s.look(ctx, r)
	if errors.Is(ctx.Err(), context.Canceled) {
		return reconcile.Result{}, nil // no longer the leader: the next one looks at all
	}

	return result, err
}

func (s *Status) look(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	o := objectFor(r)
	if err := s.client.Get(ctx, r.NamespacedName, o); err != nil {
		s.unasked.Forget(r)
		s.spreading.Delete(r)
		s.withdrawn.forget(r.NamespacedName)
		s.counts.forget(r.NamespacedName)

		return reconcile.Result{}, client.IgnoreNotFound(err)
	}

	compiled := s.injections.compiled(o)
	if compiled == nil {
		return reconcile.Result{RequeueAfter: lookAgain}, nil
	}

	if replica := s.lacking(o, compiled); replica != "" {
		return s.hold(ctx, r, o, compiled, replica)
	}

	s.spreading.Delete(r)

	status := statusOf(o)

	check, err := s.check(ctx, specOf(o), compiled, status.ServerCheck)
	if errors.Is(err, context.Canceled) {
		return reconcile.Result{}, err
	}

	again := s.askAgain(r, err)
	next := statusWith(ctx, status, compiled, check, s.namespaceOf(o), s.obstacle(status, compiled, check))
	s.audit(&next)
	s.injections.warn(&next, compiled)

	if next.Since == nil {
		next.Since = sinceNow(o)
	}

	if err := s.writeIfNew(ctx, r, o, next); err != nil {
		return reconcile.Result{}, err
	}

	return again, nil
}

// namespaceOf returns our knowledge of an Injection's namespace. A ClusterInjection
// has none.
func (s *Status) namespaceOf(o client.Object) patches.Namespace {
	if o.GetNamespace() == "" {
		return patches.Namespace{}
	}

	return s.injections.about(o.GetNamespace())
}

// askAgain says when to look at an Injection again: each by itself and ever less
// often, while the API server can't be asked about it.
func (s *Status) askAgain(r reconcile.Request, err error) reconcile.Result {
	if err == nil {
		s.unasked.Forget(r)

		return reconcile.Result{RequeueAfter: lookAtAll}
	}

	s.complain.Do(func() {
		s.log.Error(err, "the API server was not asked about an Injection, will try again", "injection", r.NamespacedName)
	})

	return reconcile.Result{RequeueAfter: s.unasked.When(r)}
}

// write makes this the status of an object. It takes over what other managers of
// fields have, earlier versions of Telltale among them
// (TestStatusOfEarlierVersion).
func (s *Status) write(ctx context.Context, o client.Object, status v1alpha1.InjectionStatus) error {
	status.Conditions = ours(status.Conditions)

	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&status)
	if err != nil {
		return err
	}

	u := &unstructured.Unstructured{Object: map[string]any{"status": fields}}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kindOf(o)))
	u.SetNamespace(o.GetNamespace())
	u.SetName(o.GetName())
	u.SetUID(o.GetUID()) // not that of another object, made since under the same name

	if err := s.writes.Wait(ctx); err != nil {
		return err
	}

	return s.client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(fieldManager), client.ForceOwnership)
}

func objectFor(r reconcile.Request) client.Object {
	if r.Namespace == "" {
		return &v1alpha1.ClusterInjection{}
	}

	return &v1alpha1.Injection{}
}

func kindOf(o client.Object) string {
	if _, ok := o.(*v1alpha1.ClusterInjection); ok {
		return "ClusterInjection"
	}

	return "Injection"
}

func statusOf(o client.Object) *v1alpha1.InjectionStatus {
	if cluster, ok := o.(*v1alpha1.ClusterInjection); ok {
		return &cluster.Status
	}

	return &o.(*v1alpha1.Injection).Status
}

func specOf(o client.Object) *v1alpha1.InjectionSpec {
	if cluster, ok := o.(*v1alpha1.ClusterInjection); ok {
		return &cluster.Spec.InjectionSpec
	}

	return &o.(*v1alpha1.Injection).Spec
}
