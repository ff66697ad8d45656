package webhook

import (
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestDuration: each review that could be read has a duration, in classic buckets and
// in native ones. A request without a review has none: anyone may send it.
func TestDuration(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	in := New(knows(), ignored{}, Options{Registerer: registry})

	for range 3 {
		post(in, checkout(t))
	}

	if w := post(in, "no review"); w.Code != http.StatusBadRequest {
		t.Fatalf("status %d", w.Code)
	}

	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}

	for _, f := range families {
		if f.GetName() != "telltale_admission_duration_seconds" {
			continue
		}

		h := f.GetMetric()[0].GetHistogram()
		if h.GetSampleCount() != 3 || h.GetSampleSum() <= 0 || len(h.GetBucket()) == 0 || len(h.GetPositiveSpan()) == 0 {
			t.Errorf("want 3 reviews, in classic and in native buckets: %v", h)
		}

		return
	}

	t.Error("there is no such metric")
}
