package ledger

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// TestOwed has failures of several namespaces and reasons; some are written.
func TestOwed(t *testing.T) {
	t.Parallel()
	l, now := New(Options{Home: "home"}), time.Unix(1_000_000, 0)
	add := func(namespace string, r failure.Reason) {
		l.Add(failure.Failure{Reason: r, Owner: failure.Ref{Namespace: namespace, Name: "web"}}, now)
	}
	owed := func(want ...string) {
		t.Helper()
		if got := slices.Sorted(maps.Keys(l.Owed(failure.Missed, failure.Lost))); !slices.Equal(got, want) {
			t.Errorf("owed in %q, want %q", got, want)
		}
	}

	owed()
	add("shop", failure.Missed)
	add("shop", failure.Conflict)
	now = now.Add(time.Minute)
	settleDue(l, now)
	owed()
	add("books", failure.Missed)
	add("books", failure.Lost)
	add("home", failure.Missed)
	add("other", failure.Conflict)
	owed("books", "home")
	l.Add(failure.Failure{Reason: failure.Lost, Owner: Namespace("home")}, now) // as folded ones are
	owed("", "books", "home")
	now = now.Add(time.Minute)
	settleDue(l, now)
	owed()
}
