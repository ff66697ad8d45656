package injections

import (
	"testing"

	"github.com/go-logr/logr"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// TestHasAll follows an Injection from the watch to the set. In between the set
// lacks it, and says so.
func TestHasAll(t *testing.T) {
	in := New(logr.Discard())
	in.load(t.Context())

	handler, store := in.noting(Injection, in.onInjection()), toolscache.NewStore(toolscache.MetaNamespaceKeyFunc)
	has := func(when string, want bool) {
		t.Helper()

		if got := in.hasAll(Injection, store); got != want {
			t.Errorf("%s: hasAll is %t", when, got)
		}
	}
	arrives := func(o *v1alpha1.Injection) {
		t.Helper()

		if _, err := in.arrive(o); err != nil {
			t.Fatal(err)
		}
	}
	version := func(resourceVersion, value string, generation int64) *v1alpha1.Injection {
		o := injection("proxy", 0, value)
		o.ResourceVersion, o.Generation, o.UID = resourceVersion, generation, "1"

		return o
	}
	put := func(o *v1alpha1.Injection) {
		t.Helper()

		if err := store.Update(o); err != nil {
			t.Fatal(err)
		}
	}
	first, second, deleted := version("1", "A", 1), version("2", "B", 2), version("3", "B", 2)

	has("nothing is there", true)
	arrives(first)
	has("it has arrived", false)
	put(first)
	has("the store has it", false)
	handler.OnAdd(first, true)
	has("the set has it", true)
	arrives(first)
	has("it came again, unchanged: the watch broke", true)

	arrives(second)
	has("an edit has arrived, and the store has the one before", false)
	put(second)
	has("the store has the edit", false)
	handler.OnUpdate(first, second)
	has("the set has the edit", true)

	arrives(deleted)
	has("a deletion has arrived", false)

	if err := store.Delete(deleted); err != nil {
		t.Fatal(err)
	}

	has("the store has the deletion", false)
	handler.OnDelete(deleted)
	has("the set has the deletion", true)
}

// TestHasAllUnknown has a cache that notes nothing: such a view is never up to date.
func TestHasAllUnknown(t *testing.T) {
	in, store := New(logr.Discard()), toolscache.NewStore(toolscache.MetaNamespaceKeyFunc)
	in.load(t.Context())

	if !in.hasAll(Injection, store) {
		t.Error("there is no Injection, and the set does not have all")
	}

	if err := store.Add(injection("proxy", 0, "A")); err != nil {
		t.Fatal(err)
	}

	if in.hasAll(Injection, store) {
		t.Error("nobody knows whether the set has all, and it says so")
	}
}
