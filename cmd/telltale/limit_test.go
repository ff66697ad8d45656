package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestLimitedCalls has a server that hangs, before or amid its answer. A watch goes on for
// longer than the limit.
func TestLimitedCalls(t *testing.T) {
	t.Parallel()

	const limit = 300 * time.Millisecond

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/silent" {
			<-r.Context().Done()

			return
		}

		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()

		if r.URL.Path == "/events" {
			<-time.After(2 * limit)
			_, _ = io.WriteString(w, "all")

			return
		}

		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)

	client := &http.Client{Transport: limitedCalls{http.DefaultTransport, limit}}
	cases := map[string]struct {
		reason, path string
		isHung       bool
	}{
		"Silent": {"There is no answer.", "/silent", true},
		"Amid":   {"The answer has a beginning, and no end.", "/pods", true},
		"NoEnd":  {"The same of a watch that never begins.", "/silent?watch=true", true},
		"Watch":  {"It has its event.", "/events?watch=true", false},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			answer, err := client.Get(server.URL + tc.path)
			if err == nil {
				defer answer.Body.Close()

				var text []byte
				if text, err = io.ReadAll(answer.Body); err == nil && string(text) != "all" {
					t.Errorf("%s: got %q", tc.reason, text)
				}
			}

			if errors.Is(err, errHung) != tc.isHung || errors.Is(err, context.Canceled) || !tc.isHung && err != nil {
				t.Errorf("%s: got %v, want that it hangs: %t", tc.reason, err, tc.isHung)
			}
		})
	}
}
