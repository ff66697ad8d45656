// Package injections knows the Injections of the cluster. It watches them and
// the namespaces, keeps what they come to as an immutable compiled set, and
// tells users, in each Injection's Ready condition, whether it is in force.
//
//	in := injections.New(log)
//	err := in.Watch(manager)
//	matches, err := in.Match(pod, namespace)
//
// Before the first lists of all three have arrived, Match answers ErrNotLoaded:
// a cold cache is an error, never "no match" (TestNotLoaded).
package injections

import (
	"errors"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches"
)

// ErrNotLoaded says that the Injections are not known yet.
var ErrNotLoaded = errors.New("Telltale has not loaded the Injections yet") //nolint:staticcheck // a name

// Injections is the compiled set, kept up to date. It is safe for use by many
// goroutines, and Match never waits.
type Injections struct {
	log logr.Logger

	loaded atomic.Bool
	set    atomic.Pointer[patches.Set]
	edit   sync.Mutex // one change of set at a time

	namespaces sync.Map // name → map[string]string, the labels; never changed in place
}

// New returns Injections that are not loaded.
func New(log logr.Logger) *Injections {
	in := &Injections{log: log}
	in.set.Store(&patches.Set{})

	return in
}

// Match returns the Injections that select a pod, in the order in which they
// are applied, or ErrNotLoaded.
func (in *Injections) Match(pod *patches.Pod, namespace string) ([]patches.Match, error) {
	if !in.loaded.Load() {
		return nil, ErrNotLoaded
	}

	ns := patches.Namespace{Name: namespace}
	if labels, ok := in.namespaces.Load(namespace); ok {
		ns.Labels, ns.Known = labels.(map[string]string), true
	}

	return in.set.Load().Match(pod, ns), nil
}

// Check is a readiness check: nil once everything is loaded.
func (in *Injections) Check(*http.Request) error {
	if !in.loaded.Load() {
		return ErrNotLoaded
	}

	return nil
}

// compiled returns what this edit of this object came to, or nil where the set
// has another edit, or none.
func (in *Injections) compiled(o client.Object) *patches.Injection {
	have := in.set.Load().Get(o.GetNamespace(), o.GetName())
	if have == nil || have.UID != o.GetUID() || have.Generation != o.GetGeneration() {
		return nil
	}

	return have
}

func (in *Injections) add(compiled *patches.Injection) {
	in.change(func(s *patches.Set) *patches.Set { return s.With(compiled) })
}

func (in *Injections) remove(namespace, name string) {
	in.change(func(s *patches.Set) *patches.Set { return s.Without(namespace, name) })
}

func (in *Injections) change(edit func(*patches.Set) *patches.Set) {
	in.edit.Lock()
	defer in.edit.Unlock()

	in.set.Store(edit(in.set.Load()))
}
