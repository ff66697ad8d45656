package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
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
	// idleTimeout is how long a connection is kept without a request. Go's clients,
	// the API server among them, keep one for 90 s, also if no request was sent over
	// it yet: another connection was free sooner. We keep it longer. For if we close
	// one at the moment when a review is sent over it, the API server does not send
	// the review again, and the pod has no injection (TestOutlastsCallers).
	//
	// Source: queueForDial and shouldRetryRequest, Go 1.26 net/http/transport.go.
	idleTimeout = 100 * time.Second
	// maxHeader is the largest header of a request, in bytes. net/http adds 4096.
	// An API server's has some 400 bytes, and a token if it is told to send one.
	maxHeader = 4096
)

// Options are the optional parts of a Server.
type Options struct {
	// Registerer takes the metrics. Default: none are exported.
	Registerer prometheus.Registerer
	// Log takes a line about connections that fail, at most one a minute for
	// handshakes and one a second for all else. Default: none is written.
	Log logr.Logger
}

// Server is a webhook.Server of controller-runtime. Handlers are registered as
// with that one, and have the same metrics.
type Server struct {
	ctrlwebhook.Server

	mux     *http.ServeMux
	address string
	config  *tls.Config
	log     logr.Logger

	connections     *connections
	started, ending atomic.Bool
	drain           chan struct{} // closed: end
	drainOnce       sync.Once
	ended           chan struct{} // closed: serving has ended
}

// New returns a Server that listens on a port of all addresses.
func New(port int, config *tls.Config, o Options) *Server {
	mux := http.NewServeMux()

	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}

	if o.Log.GetSink() == nil {
		o.Log = logr.Discard()
	}

	return &Server{
		Server:  ctrlwebhook.NewServer(ctrlwebhook.Options{Port: port, WebhookMux: mux}),
		mux:     mux,
		address: net.JoinHostPort("", strconv.Itoa(port)),
		config:  config,
		log:     o.Log,

		connections: newConnections(o.Registerer),
		drain:       make(chan struct{}), ended: make(chan struct{}),
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
		ConnContext:       withConnection,
		ConnState:         s.connections.note,
		ReadHeaderTimeout: idleTimeout, // and for the handshake
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          newErrorLog(s.log),
	}
	served := make(chan error, 1)

	defer close(s.ended)

	s.started.Store(true)

	select {
	case <-s.drain: // before it was started: Drain has not waited
		return l.Close()
	default:
	}

	go func() { served <- h.Serve(tls.NewListener(l, s.config)) }()

	select {
	case err := <-served:
		return fmt.Errorf("cannot serve reviews: %w", err)
	case <-ctx.Done():
	case <-s.drain:
	}

	return s.end(h, l, served)
}

// Drain ends serving, as the end of Start's context does, and waits for it. All that
// answers depend on should go on meanwhile: reviews still come for some seconds. It
// returns at once if the server was not started; then it never serves.
func (s *Server) Drain() {
	s.drainOnce.Do(func() { close(s.drain) })

	if s.started.Load() {
		<-s.ended
	}
}

// connectionKey is the key of a connection in the context of its requests.
type connectionKey struct{}

func withConnection(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ConnContext(ctx, c), connectionKey{}, c)
}

// ServeHTTP serves the registered handlers. An answer is the last on its
// connection if it has another status than 200, or if the process was asked to
// end.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	a := &answer{ResponseWriter: w}
	if s.ending.Load() {
		w.Header().Set("Connection", "close")
	}

	s.mux.ServeHTTP(a, req)

	if c, ok := req.Context().Value(connectionKey{}).(net.Conn); ok && a.status == http.StatusOK {
		s.connections.serve(c)
	}
}

// answer is a ResponseWriter that notes its status.
type answer struct {
	http.ResponseWriter

	status int // 0 until there is one
}

// WriteHeader ends the connection after an answer that no review gets.
func (a *answer) WriteHeader(status int) {
	a.status = status
	if status != http.StatusOK {
		a.Header().Set("Connection", "close")
	}

	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}

	return a.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

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
