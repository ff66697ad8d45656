//go:build apiserver

package event

import (
	"testing"

	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// TestCompany: a writer that met another on one event expects it on others: it
// reads them first, until it knows better. One that met nobody does not.
func TestCompany(t *testing.T) {
	t.Parallel()
	one, other := writer(t, cp.Config), writer(t, cp.Config)
	a, b, c := namespace(t), namespace(t), namespace(t)
	entries := map[*Writer]map[string]*ledger.Entry{one: {}, other: {}}
	for _, step := range []struct {
		reason string
		w      *Writer
		event  string
		want   int64 // calls
	}{
		{"The event is new.", one, a, 1},
		{"The event is there: create, read, write.", other, a, 3},
		{"One knows of no other.", one, b, 1},
		{"The other expects company: read, write.", other, b, 2},
		{"It knows that it has company.", other, b, 2},
		{"It expects company, and there is no event: read, create.", other, c, 2},
		{"Somebody may have written the event since.", other, c, 2},
		{"Nobody has.", other, c, 1},
		{"One meets the other: write, read, write.", one, a, 3},
		{"It expects company on its other event, too.", one, b, 2},
	} {
		e := entries[step.w][step.event]
		if e == nil {
			first := entry(step.event, 0)
			e = &first
			entries[step.w][step.event] = e
		}
		before := sum(step.w)
		e.Total++
		persist(t, step.w, e)
		if n := sum(step.w) - before; n != step.want {
			t.Errorf("%s: %d calls, want %d", step.reason, n, step.want)
		}
	}
	wantCount(t, a, 3)
	wantCount(t, b, 4)
	wantCount(t, c, 3)
}

// sum is the number of calls of a writer so far.
func sum(w *Writer) (n int64) {
	for _, calls := range w.Calls() {
		n += calls
	}

	return n
}
