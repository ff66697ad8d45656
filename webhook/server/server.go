package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/healthz"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"
)

const (
	// drainFor is how long quiet connections are kept after the process is asked
	// to end.
	drainFor = 3 * time.Second
	// answerFor is how long the requests that are under way may take after that.
	// By default an API server waits less: 10 s.
	answerFor = 20 * time.Second
	// headerTimeout is how long the header of a request may take. idleTimeout is
	// how long a connection is kept without a request.
	//
	// Source: controller-runtime v0.25.2 pkg/internal/httpserver, where the
	// second is that of Go's own clients, the API server among them.
	headerTimeout = 32 * time.Second
	idleTimeout   = 90 * time.Second
)

// Server is a webhook.Server of controller-runtime. Handlers are registered as
// with that one, and have the same metrics.
type Server struct {
	ctrlwebhook.Server

	mux     *http.ServeMux
	address string
	config  *tls.Config

	connections     connections
	started, ending atomic.Bool
}

// New returns a Server that listens on a port of all addresses.
func New(port int, config *tls.Config) *Server {
	mux := http.NewServeMux()

	return &Server{
		Server:  ctrlwebhook.NewServer(ctrlwebhook.Options{Port: port, WebhookMux: mux}),
		mux:     mux,
		address: net.JoinHostPort("", strconv.Itoa(port)),
		config:  config,

		connections: connections{all: map[net.Conn]state{}},
	}
}

// Start serves until ctx ends, and then until every request has its answer. The
// contexts of requests do not end with ctx, so an answer at the end is in time.
func (s *Server) Start(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.address)
	if err != nil {
		return fmt.Errorf("cannot listen for reviews: %w", err)
	}

	return s.serve(ctx, listener)
}

func (s *Server) serve(ctx context.Context, l net.Listener) error {
	h := &http.Server{
		Handler:           s,
		ConnContext:       ConnContext,
		ConnState:         s.connections.note,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
	}
	served := make(chan error, 1)

	go func() { served <- h.Serve(tls.NewListener(l, s.config)) }()

	s.started.Store(true)

	select {
	case err := <-served:
		return fmt.Errorf("cannot serve reviews: %w", err)
	case <-ctx.Done():
		return s.end(h, l, served)
	}
}

// ServeHTTP serves the registered handlers. Once the process is asked to end,
// each answer says that it is the last on its connection.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if s.ending.Load() {
		w.Header().Set("Connection", "close")
	}

	s.mux.ServeHTTP(w, req)
}

// StartedChecker returns a check that fails unless the port can be reached.
func (s *Server) StartedChecker() healthz.Checker {
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{Timeout: 10 * time.Second},
		Config:    &tls.Config{InsecureSkipVerify: true}, // it calls this process, and sends nothing
	}

	return func(req *http.Request) error {
		if !s.started.Load() {
			return errors.New("the webhook's server has not started yet")
		}

		conn, err := dialer.DialContext(req.Context(), "tcp", s.address)
		if err != nil {
			return fmt.Errorf("cannot reach the webhook's own port: %w", err)
		}

		return conn.Close()
	}
}
