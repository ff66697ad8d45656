package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

// TestCandidates checks that each candidate does the work that is measured.
func TestCandidates(t *testing.T) {
	cases := map[string]struct {
		reason string
		want   bool // injected
	}{
		limit:    {reason: "It allows, and does no more."},
		floor:    {reason: "It allows, and does no more."},
		constant: {reason: "It injects into this pod without looking at it.", want: true},
		textbook: {reason: "It injects everything that the Injection declares.", want: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			handler, err := newHandler(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			req := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(checkout))
			req.Header.Set("Content-Type", "application/json")
			handler.ServeHTTP(w, req)

			pod, err := patched(checkout, w.Body.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if got, err := injected(pod); got != c.want || err != nil || !bytes.Contains(w.Body.Bytes(), []byte(`"uid":"0acb5ec1-4dfb-4a7b-85e9-248c272a32da"`)) {
				t.Errorf("%s injected: %v, error %v, by %s", c.reason, got, err, w.Body)
			}
		})
	}
}

// TestQuantile checks the ends, where an index is easily one too many.
func TestQuantile(t *testing.T) {
	var d []time.Duration
	for i := range 100 {
		d = append(d, time.Duration(i+1))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 51, 0.99: 100, 1: 100} {
		if got := quantile(d, q); got != want {
			t.Errorf("quantile %v is %d, want %d", q, got, want)
		}
	}
	slices.Reverse(d)
	if got := median(d); got != 51 {
		t.Errorf("median %d, want 51", got)
	}
}
