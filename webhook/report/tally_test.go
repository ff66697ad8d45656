package report

import (
	"fmt"
	"testing"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// TestTallyIsBounded: the first namespaces that exist are told apart; others, and
// invented ones, are counted together. No failure is lost.
func TestTallyIsBounded(t *testing.T) {
	t.Parallel()
	exists := map[string]bool{"a": true, "b": true, "c": true}
	tally := newTally(Options{MaxNamespaces: 2, Exists: func(namespace string) bool { return exists[namespace] }})
	for i := range 1000 {
		tally.add(fmt.Sprintf("invented-%d", i), failure.Timeout)
	}
	for _, namespace := range []string{"a", "b", "c", "a", ""} {
		tally.add(namespace, failure.Conflict)
	}
	tally.add("a", "NoSuchReason")

	want := map[place]int64{
		{"a", failure.Conflict}: 2, {"b", failure.Conflict}: 1, {otherNamespace, failure.Conflict}: 2,
		{otherNamespace, failure.Timeout}: 1000, {"a", failure.Error}: 1,
	}
	for p, n := range tally.counts {
		if n != want[p] {
			t.Errorf("%v: %d, want %d", p, n, want[p])
		}
	}
	if n := len(failure.Reasons()) + 3; len(tally.counts) != n {
		t.Errorf("%d series, want %d", len(tally.counts), n)
	}
}
