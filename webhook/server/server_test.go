package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// replica is a Server that serves on a port of this machine.
type replica struct {
	*Server

	url  string
	stop context.CancelFunc
	done chan error
}

func serve(t *testing.T, h http.HandlerFunc, changes ...func(*tls.Config)) *replica {
	t.Helper()

	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	config := &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, Certificates: []tls.Certificate{certificate(t)},
	}
	for _, change := range changes {
		change(config)
	}

	s := New(0, config, Options{})
	s.address = l.Addr().String()
	s.Register("/", h)

	ctx, stop := context.WithCancel(t.Context())
	r := &replica{Server: s, url: "https://" + s.address, stop: stop, done: make(chan error, 1)}

	go func() { r.done <- s.serve(ctx, l) }()

	t.Cleanup(stop)

	return r
}

// certificate makes one as Telltale does, with a key whose handshakes are cheap.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	of := &x509.Certificate{SerialNumber: big.NewInt(1)}

	der, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}

	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// client keeps its connections, as API servers do.
func client(t *testing.T) *http.Client {
	t.Helper()

	transport := &http.Transport{
		MaxIdleConnsPerHost: 100,
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true}, // only for a test
	}
	t.Cleanup(transport.CloseIdleConnections)

	return &http.Client{Transport: transport}
}

// post sends a request. It tells whether the request was sent over a
// connection, answered or not.
func post(ctx context.Context, c *http.Client, url string) (sent bool, err error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent = true }})

	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("review"))
	if err != nil {
		return false, err
	}

	response, err := c.Do(req)
	if err != nil {
		return sent, err
	}

	_, err = io.Copy(io.Discard, response.Body)

	return sent, errors.Join(err, response.Body.Close())
}

// TestEndLosesNothing asks a server to end while many clients send over
// connections that they keep. Every request that is sent over one is answered,
// as long as there are connections.
func TestEndLosesNothing(t *testing.T) {
	r := serve(t, func(_ http.ResponseWriter, req *http.Request) {
		if _, err := io.Copy(io.Discard, req.Body); err != nil || req.Context().Err() != nil {
			t.Errorf("read %v, context %v", err, req.Context().Err())
		}
	})
	c := client(t)

	var (
		answered atomic.Int64
		clients  sync.WaitGroup
	)

	for range 16 {
		clients.Go(func() {
			for {
				sent, err := post(t.Context(), c, r.url)

				switch {
				case err == nil:
					answered.Add(1)
				case sent:
					t.Errorf("a request was sent and got no answer: %v", err)

					return
				default:
					return // the port is closed
				}
			}
		})
	}

	for start := time.Now(); answered.Load() < 500; runtime.Gosched() {
		if time.Since(start) > time.Minute {
			t.Fatalf("%d answers in a minute", answered.Load())
		}
	}

	asked := time.Now()

	r.stop()

	if err := <-r.done; err != nil {
		t.Error(err)
	}

	if took := time.Since(asked); took > drainFor+answerFor {
		t.Errorf("ended after %v", took)
	}

	clients.Wait()
}

// TestEndOfIdle: if nothing comes on a connection, it is closed in the end.
// Until then it takes one more request.
func TestEndOfIdle(t *testing.T) {
	r := serve(t, func(http.ResponseWriter, *http.Request) {})
	used, idle := client(t), client(t)

	for _, c := range []*http.Client{used, idle} {
		if _, err := post(t.Context(), c, r.url); err != nil {
			t.Fatal(err)
		}
	}

	r.stop()

	for !r.ending.Load() {
		runtime.Gosched()
	}

	if _, err := post(t.Context(), used, r.url); err != nil {
		t.Errorf("not answered while draining: %v", err)
	}

	if err := <-r.done; err != nil {
		t.Error(err)
	}

	for !r.connections.none() { // their goroutines end a moment later
		runtime.Gosched()
	}
}

// TestEndOfManyIdle has a caller with more idle connections than it uses up in the
// time after which quiet ones are closed. It gets an answer on each of them.
func TestEndOfManyIdle(t *testing.T) {
	const pause = drainFor / 3

	r := serve(t, func(http.ResponseWriter, *http.Request) {})

	callers := make([]*http.Client, 8)
	for i := range callers {
		callers[i] = client(t)

		if _, err := post(t.Context(), callers[i], r.url); err != nil {
			t.Fatal(err)
		}
	}

	r.stop()

	for i, c := range callers {
		time.Sleep(pause) // a caller that sends few reviews

		if _, err := post(t.Context(), c, r.url); err != nil {
			t.Errorf("review %d got no answer: %v", i, err)
		}
	}

	if err := <-r.done; err != nil {
		t.Error(err)
	}
}

// TestGone: over TLS, too, a caller that has hung up is known to be gone at
// once. A caller that waits is known to be there.
func TestGone(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells if a caller has hung up")
	}

	arrived, hungUp, was := make(chan bool), make(chan struct{}), make(chan bool)
	r := serve(t, func(_ http.ResponseWriter, req *http.Request) {
		arrived <- Gone(req.Context())
		<-hungUp
		was <- Gone(req.Context())
	})

	ctx, hangUp := context.WithCancel(t.Context())
	ended := make(chan struct{})

	go func() {
		_, _ = post(ctx, client(t), r.url)

		close(ended)
	}()

	if <-arrived {
		t.Error("the caller waits, and Gone says that it is gone")
	}

	hangUp()
	<-ended
	close(hungUp)

	if !<-was {
		t.Error("the caller hung up, and Gone says that it is there")
	}
}

// TestUnknownCaller: without ConnContext there is nothing to ask.
func TestUnknownCaller(t *testing.T) {
	one, two := net.Pipe()
	defer one.Close()
	defer two.Close()

	for _, ctx := range []context.Context{t.Context(), ConnContext(t.Context(), one)} {
		if Gone(ctx) {
			t.Error("Gone says yes about a caller that is not known")
		}
	}
}

// TestDrainBeforeStart: a server that is drained before it has started never serves.
func TestDrainBeforeStart(t *testing.T) {
	s := New(0, &tls.Config{MinVersion: tls.VersionTLS12}, Options{})
	s.Drain()

	if err := s.Start(t.Context()); err != nil {
		t.Error(err)
	}

	if !s.connections.none() || s.ending.Load() {
		t.Error("it has served")
	}
}

// TestStarted: a server is ready if its port can be reached.
func TestStarted(t *testing.T) {
	req := httptest.NewRequest(http.MethodGet, "/readyz", http.NoBody)

	s := New(0, &tls.Config{MinVersion: tls.VersionTLS12}, Options{})
	if err := s.StartedChecker()(req); err == nil {
		t.Error("ready before it started")
	}

	r := serve(t, func(http.ResponseWriter, *http.Request) {})
	for !r.started.Load() {
		runtime.Gosched()
	}

	if err := r.StartedChecker()(req); err != nil {
		t.Error(err)
	}

	r.stop()
	<-r.done //nolint:errcheck // TestEndLosesNothing looks at it

	if err := r.StartedChecker()(req); err == nil {
		t.Error("ready after the end")
	}
}

// BenchmarkGone measures the cost of the look at the socket for an admission.
func BenchmarkGone(b *testing.B) {
	l, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // the end of a benchmark

	c, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()

	ctx := ConnContext(b.Context(), c)

	b.ReportAllocs()

	for b.Loop() {
		if Gone(ctx) {
			b.Fatal("gone")
		}
	}
}
