// Package injections knows the Injections of the cluster. It watches them and
// the namespaces, and keeps them as an immutable compiled set. In each
// Injection's status it tells users whether the Injection is in force.
//
//	in := injections.New(log)
//	err := in.Watch(manager, "telltale-system")
//	matches, err := in.Match(pod.Traits(), namespace)
//	in.Status(manager).Keep(ctx) // in one replica
//
// Before the first lists of all have arrived, Match answers ErrNotLoaded: a cold
// cache is an error, never "no match" (TestNotLoaded).
//
// While ConfigMap telltale-stop is in Telltale's own namespace, Match answers that
// no Injection selects the pod, and each Injection says so (TestStop). An
// administrator has asked for that, so it is no failure.
package injections

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/webhook/objects"
)

// ErrNotLoaded means that the Injections are not known yet.
var ErrNotLoaded = errors.New("Telltale has not loaded the Injections yet") //nolint:staticcheck // a name

// Injections is the compiled set, kept up to date. Many goroutines may use it
// at the same time, and Match never waits.
type Injections struct {
	log logr.Logger

	loaded chan struct{} // closed once all is known
	known  atomic.Pointer[patches.Set]

	edit  sync.Mutex                       // one change at a time
	first map[types.NamespacedName]compile // edits from before all is known, to be compiled together

	namespaces sync.Map // name → namespaceOf; never changed in place
	limits     rules[*corev1.LimitRange]
	quotas     rules[*corev1.ResourceQuota]
	withdrawn  sync.Map // types.NamespacedName: the Injections whose status has withdrawals

	stop      atomic.Pointer[string]    // why all injection is stopped; nil or empty if it is not
	stopEnded atomic.Pointer[time.Time] // when it last went on; nil: it was not stopped

	objects *objects.Objects // that Injections require

	onChange atomic.Pointer[func(namespace string)] // hears where a status is to be looked at again

	peers    Peers
	progress progress
}

// compile does the work that is still to do for an object.
type compile func() *patches.Injection

// New returns Injections that are not loaded yet.
func New(log logr.Logger) *Injections {
	in := &Injections{log: log, loaded: make(chan struct{}), first: map[types.NamespacedName]compile{}, peers: alone{}, objects: objects.None()}
	in.newRules()
	in.known.Store(&patches.Set{})

	return in
}

// Match returns the Injections that select a pod with these traits in a
// namespace, in the order in which they are applied, or ErrNotLoaded. While all
// injection is stopped, there are none, known or not.
//
// If this replica may lack changes that others have, the Injections come with an
// error: the pod may need others, or newer ones.
func (in *Injections) Match(pod patches.Traits, namespace string) ([]patches.Match, error) {
	switch {
	case in.stopped() != "" && !in.isLoaded():
		return nil, nil
	case in.stopped() != "":
		return nil, in.peers.Err()
	case !in.isLoaded():
		return nil, ErrNotLoaded
	default:
		return in.known.Load().Match(pod, in.about(namespace)), in.peers.Err()
	}
}

// HasNamespace tells whether there is such a namespace, as far as is known.
func (in *Injections) HasNamespace(name string) bool {
	_, has := in.namespaces.Load(name)

	return has
}

// Previews returns the Injections with mode: Preview that select a pod with these
// traits in a namespace. While all injection is stopped, and until the Injections are
// known, there are none.
func (in *Injections) Previews(pod patches.Traits, namespace string) []patches.Match {
	if in.stopped() != "" || !in.isLoaded() {
		return nil
	}

	return in.known.Load().Previews(pod, in.about(namespace))
}

// Get returns an Injection, or, without a namespace, a ClusterInjection. It is nil
// where there is none.
func (in *Injections) Get(namespace, name string) *patches.Injection {
	return in.known.Load().Get(namespace, name)
}

// Check is a readiness check: nil once everything is loaded.
func (in *Injections) Check(*http.Request) error {
	if !in.isLoaded() {
		return ErrNotLoaded
	}

	return nil
}

func (in *Injections) isLoaded() bool {
	select {
	case <-in.loaded:
		return true
	default:
		return false
	}
}

// compiled returns the result of compiling this edit of this object. It is nil
// if the set has another edit, or none.
func (in *Injections) compiled(o client.Object) *patches.Injection {
	have := in.known.Load().Get(o.GetNamespace(), o.GetName())
	if have == nil || have.UID != o.GetUID() || have.Generation != o.GetGeneration() {
		return nil
	}

	return have
}

// set makes an object known, as the API server judged it. An object that was
// compiled already, with the same judgement, costs no more than a look.
func (in *Injections) set(o client.Object, compile compile) {
	status := statusOf(o)
	if name := client.ObjectKeyFromObject(o); len(status.Withdrawn) > 0 {
		in.withdrawn.Store(name, nil)
	} else {
		in.withdrawn.Delete(name)
	}

	judged := func(compiled *patches.Injection) *patches.Injection {
		return compiled.Judged(status)
	}

	have := in.compiled(o)
	if have == nil {
		in.add(o, func() *patches.Injection { return judged(compile()) })

		return
	}

	if next := judged(have); next != have {
		in.add(o, func() *patches.Injection { return next })
	}
}

func (in *Injections) add(o client.Object, compile compile) {
	in.edit.Lock()
	defer in.edit.Unlock()

	if in.first != nil {
		in.first[client.ObjectKeyFromObject(o)] = compile

		return
	}

	compiled := compile()
	in.require(compiled)
	in.known.Store(in.known.Load().With(compiled))
}

func (in *Injections) remove(namespace, name string) {
	in.withdrawn.Delete(types.NamespacedName{Namespace: namespace, Name: name})

	in.edit.Lock()
	defer in.edit.Unlock()

	if in.first != nil {
		delete(in.first, types.NamespacedName{Namespace: namespace, Name: name})

		return
	}

	in.known.Store(in.known.Load().Without(namespace, name))
	in.objects.Require(types.NamespacedName{Namespace: namespace, Name: name}, nil)
}

// load compiles the edits that came first, and makes them known.
func (in *Injections) load(ctx context.Context) {
	in.edit.Lock()
	defer in.edit.Unlock()

	all := inParallel(ctx, slices.Collect(maps.Values(in.first)))
	for _, one := range all {
		in.require(one)
	}

	in.waitRequired(ctx)
	in.known.Store(in.known.Load().With(all...))
	in.first = nil
	close(in.loaded)
}

// inParallel compiles on all the CPUs that this process may use: before the
// Injections are known there is nothing better to do. It compiles all, even if
// ctx ends: a set has no holes.
func inParallel(ctx context.Context, all []compile) []*patches.Injection {
	compiled := make([]*patches.Injection, len(all))

	workqueue.ParallelizeUntil(context.WithoutCancel(ctx), runtime.GOMAXPROCS(0), len(all), func(i int) {
		compiled[i] = all[i]()
	})

	return compiled
}
