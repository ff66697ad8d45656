package report

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestDelay: each write that a sink took has the time since the first failure in it,
// and a write that it did not take has none.
func TestDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWrites()
		r := reporter(Options{}, w)
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(r.delays)
		end := start(t, r)

		r.Report(conflict("StatefulSet", "db"))
		time.Sleep(time.Minute)
		delays(t, registry, 1, 0.5, 1)

		w.fail(errors.New("no route to host"))
		r.Report(conflict("StatefulSet", "db"))
		time.Sleep(2 * time.Minute)
		delays(t, registry, 1, 0.5, 1)

		w.fail(nil)
		time.Sleep(time.Hour)
		delays(t, registry, 2, 120, 600)
		end()
	})
}

// delays fails the test unless there are so many delays, and their sum is between two
// bounds, in seconds.
func delays(t *testing.T, registry prometheus.Gatherer, n uint64, least, most float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || len(families[0].GetMetric()) != 1 {
		t.Fatalf("%d families: %v", len(families), err)
	}
	h := families[0].GetMetric()[0].GetHistogram()
	if h.GetSampleCount() != n || h.GetSampleSum() < least || h.GetSampleSum() > most {
		t.Errorf("%d delays of %v s together, want %d, and %v to %v s", h.GetSampleCount(), h.GetSampleSum(), n, least, most)
	}
}
