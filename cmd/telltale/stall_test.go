//go:build apiserver

package main

import (
	"net/http"
	"sync"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
)

// stalling stands between one replica and the API server. It can hold the events of
// watches back, or all calls. No connection ends for that, as in a network that
// drops packets.
type stalling struct {
	config *rest.Config // of Telltale's service account, through here

	mu           sync.Mutex
	watches, all chan struct{} // closed unless it stalls
}

func startStalling(t *testing.T, cp *controlplane.ControlPlane) *stalling {
	t.Helper()

	s := &stalling{}
	s.stall(false, false)
	s.config = harness.Proxy(t, cp, s.handler)
	t.Cleanup(func() { s.stall(false, false) }) // before the proxy ends

	return s
}

// stall holds watches back, or all, from now on.
func (s *stalling) stall(watches, all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()

	for gate, closed := range map[*chan struct{}]bool{&s.watches: watches || all, &s.all: all} {
		switch {
		case *gate == nil:
			*gate = make(chan struct{})
			close(*gate)
		case isOpen(*gate) && closed:
			*gate = make(chan struct{})
		case !isOpen(*gate) && !closed:
			close(*gate)
		}
	}
}

func isOpen(gate chan struct{}) bool {
	select {
	case <-gate:
		return true
	default:
		return false
	}
}

// wait returns when nothing of this kind stalls, or the caller is gone.
func (s *stalling) wait(r *http.Request, isWatch bool) {
	s.mu.Lock()
	gate := s.all

	if isWatch {
		gate = s.watches
	}
	s.mu.Unlock()

	select {
	case <-gate:
	case <-r.Context().Done():
	}
}

func (s *stalling) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.wait(r, false)

		if r.URL.Query().Get("watch") != "" {
			w = stalledWatch{w, s, r}
		}

		next.ServeHTTP(w, r)
	})
}

// stalledWatch is the answer to a watch.
type stalledWatch struct {
	http.ResponseWriter

	s *stalling
	r *http.Request
}

// Unwrap is for http.ResponseController, which flushes.
func (w stalledWatch) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write waits until watches go on.
func (w stalledWatch) Write(b []byte) (int, error) {
	w.s.wait(w.r, true)

	return w.ResponseWriter.Write(b)
}
