package report

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/event"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// notes is a sink that remembers what it got.
type notes struct {
	mu   sync.Mutex
	err  error
	once []string
	text map[string]bool
}

func (n *notes) Write(_ context.Context, e ledger.Entry) (ledger.Receipt, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil {
		return e.Receipt, n.err
	}
	n.once = append(n.once, e.Once...)
	n.text[event.Message(e.Failure)] = true

	return ledger.Receipt{Stored: e.Total}, nil
}

// TestNotes: notes go to the sink of log records, are kept while it is away, and count
// nowhere as failures.
func TestNotes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		events, records := newWrites(), &notes{err: errors.New("no route to host"), text: map[string]bool{}}
		r := reporter(Options{}, events, records)
		end := start(t, r)
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(collector{r, func() map[event.Result]int64 { return nil }})

		note := conflict("Deployment", "web")
		note.Reason, note.Once, note.Pod, note.Text = failure.Restored, "uid/1", "", "All 3 pods have their Injections."
		r.Tell(note)
		time.Sleep(time.Minute)
		records.mu.Lock()
		records.err = nil
		records.mu.Unlock()
		note.Once = "uid/2"
		r.Tell(note)
		end()

		if diff := cmp.Diff([]string{"uid/1", "uid/2"}, records.once); diff != "" || !records.text[note.Text] {
			t.Errorf("%v, -want +got:\n%s", records.text, diff)
		}
		if events.n > 0 {
			t.Errorf("%d writes of events", events.n)
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if m.GetCounter().GetValue()+m.GetGauge().GetValue() != 0 {
					t.Errorf("%s: %v", f.GetName(), m)
				}
			}
		}
	})
}

// TestNotesWithoutRecords: without log records, notes have their events only.
func TestNotesWithoutRecords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWrites()
		r := reporter(Options{}, w)
		end := start(t, r)
		r.Tell(failure.Failure{Reason: failure.Healed})
		time.Sleep(time.Minute)
		end()
		if w.n > 0 {
			t.Errorf("%d writes of events", w.n)
		}
	})
}
