package server

import (
	"errors"
	"net"
	"net/http"
	"time"
)

// errUnanswered tells why an end was no good one.
var errUnanswered = errors.New("cannot answer every request before the end")

// end lets each connection end with its next answer, and lets new ones in for
// some time. Then it closes the port, and answers the requests that are there.
// If nothing comes on any connection for that time, they are closed.
//
// The means of net/http for this lose reviews. Server.SetKeepAlivesEnabled
// closes idle connections at once. And once Server.Shutdown has begun, a
// request that was sent is read and dropped, on a new connection as well.
//
// Source: conn.serve and closeIdleConns, Go 1.26 net/http/server.go.
func (s *Server) end(h *http.Server, l net.Listener, served <-chan error) error {
	s.ending.Store(true)
	wait(drainFor, s.connections.none)

	_ = l.Close() // this ends serving
	<-served      //nolint:errcheck // of the end; no connection is added from here on

	wait(answerFor, func() bool { return s.connections.quiet(time.Now().Add(-drainFor)) })

	unanswered := s.connections.busy()
	_ = h.Close() // an error changes nothing any more

	if unanswered {
		return errUnanswered
	}

	return nil
}

// wait waits until a condition is true, but not longer than most.
func wait(most time.Duration, condition func() bool) {
	over := time.NewTimer(most)
	defer over.Stop()

	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()

	for !condition() {
		select {
		case <-over.C:
			return
		case <-look.C:
		}
	}
}
