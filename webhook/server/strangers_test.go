package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// dial opens a connection to a replica, without a handshake.
func dial(t *testing.T, r *replica) net.Conn {
	t.Helper()

	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = c.Close() })

	return c
}

// closes waits until the other end closes a connection.
func closes(t *testing.T, c net.Conn) {
	t.Helper()

	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}

	_, err := io.Copy(io.Discard, c)
	if failed, ok := errors.AsType[net.Error](err); ok && failed.Timeout() {
		t.Error("a connection is still open after a minute")
	}
}

// once is a client with one connection: if that is cut, its requests fail.
func once(t *testing.T) *http.Client {
	t.Helper()

	var dialed atomic.Bool

	c := client(t)
	c.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dialed.Swap(true) {
			return nil, errors.New("the connection was not kept")
		}

		return (&net.Dialer{}).DialContext(ctx, network, address)
	}

	return c
}

func answers(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

// TestLongHeader sends a header that never ends. It is refused after some KiB.
func TestLongHeader(t *testing.T) {
	r := serve(t, answers)

	c := tls.Client(dial(t, r), &tls.Config{InsecureSkipVerify: true}) // only for a test
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: localhost\r\n")

	for i := range maxHeader/1000 + 5 {
		fmt.Fprintf(c, "X-%d: %s\r\n", i, strings.Repeat("a", 1000))
	}

	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}

	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()

	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", response.StatusCode)
	}
}

// TestSilent has callers that send nothing, or too slowly. Each is closed when its
// time is over, and needs more than one byte to get more time. Until then it holds
// one of a number of connections (TestStrangersPushOutEachOther).
func TestSilent(t *testing.T) {
	cases := map[string]struct {
		reason string
		begin  func(*testing.T, net.Conn) net.Conn
		text   string
	}{
		"Idle":      {"It has not begun the handshake.", func(_ *testing.T, c net.Conn) net.Conn { return c }, ""},
		"Handshake": {"It sends the handshake byte by byte.", func(_ *testing.T, c net.Conn) net.Conn { return c }, "\x16\x03\x01\x10\x00\x01\x00\x0f\xff"},
		"NoHeader":  {"It sends no header.", handshake, ""},
		"Header":    {"It sends the header byte by byte.", handshake, "POST / HTTP/1.1"},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			overPipes(t, func(t *testing.T, raw net.Conn) {
				t.Helper()

				conn := c.begin(t, raw)
				start := time.Now()

				var sender sync.WaitGroup

				sender.Go(func() {
					for i := range c.text {
						_, _ = conn.Write([]byte(c.text[i : i+1])) // an error: it was closed

						time.Sleep(time.Second) // the bubble's clock
					}
				})

				_, err := io.Copy(io.Discard, conn)
				if took := time.Since(start); took != idleTimeout {
					t.Errorf("%s it was closed after %v (%v), want %v", c.reason, took, err, idleTimeout)
				}

				_ = raw.Close()

				sender.Wait()
			})
		})
	}
}

// TestOutlastsCallers has an API server that uses a connection for as long as
// Go's clients keep one: it is still there. The API server made it when all
// others were busy, and did not need it then.
func TestOutlastsCallers(t *testing.T) {
	overPipes(t, func(t *testing.T, raw net.Conn) {
		t.Helper()

		conn := handshake(t, raw)
		answers := bufio.NewReader(conn)

		for _, use := range []string{"first", "second"} {
			time.Sleep(http.DefaultTransport.(*http.Transport).IdleConnTimeout) // the bubble's clock

			if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
				t.Fatalf("%s use: %v", use, err)
			}

			response, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatalf("%s use: %v", use, err)
			}

			response.Body.Close()
		}

		_ = raw.Close()
	})
}

// TestManySilent has more new connections than usual. Those that send nothing are
// cut after some seconds. One that has sent a header is not.
func TestManySilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConnections(prometheus.NewRegistry())
		come := func() net.Conn {
			ours, theirs := net.Pipe()
			t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
			c.note(theirs, http.StateNew)

			return theirs
		}

		c.note(come(), http.StateActive)

		for range manyNew + 10 {
			come()
		}

		time.Sleep(silentFor) // the bubble's clock
		come()

		if n := testutil.ToFloat64(c.cutNew); n != 0 {
			t.Fatalf("%v were cut too early", n)
		}

		time.Sleep(time.Millisecond)
		come()

		if n := testutil.ToFloat64(c.cutNew); n != 13 || c.unserved.Len() != manyNew {
			t.Errorf("%v were cut, %d are left", n, c.unserved.Len())
		}

		if front := c.unserved.Front().Value.(*connection); front.state != http.StateActive {
			t.Error("the one that has sent a header was cut")
		}
	})
}

func handshake(t *testing.T, c net.Conn) net.Conn {
	t.Helper()

	secured := tls.Client(c, &tls.Config{InsecureSkipVerify: true}) // only for a test
	if err := secured.HandshakeContext(t.Context()); err != nil {
		t.Error(err)
	}

	return secured
}

// overPipes has a caller use a server over a connection within the process, with
// the clock of a bubble.
func overPipes(t *testing.T, caller func(*testing.T, net.Conn)) {
	t.Helper()

	synctest.Test(t, func(t *testing.T) {
		s := New(0, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate(t)}}, Options{})
		s.Register("/", http.HandlerFunc(answers))

		l := &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)

		go func() { done <- s.serve(ctx, l) }()

		ours, theirs := net.Pipe()
		l.accepted <- theirs

		caller(t, ours)
		stop()

		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// pipes is a net.Listener within a process.
type pipes struct {
	accepted chan net.Conn
	once     sync.Once
	closed   chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })

	return nil
}

// TestNoCertificate has a server that knows its callers by their certificates.
// Others get no answer.
func TestNoCertificate(t *testing.T) {
	r := serve(t, answers, func(c *tls.Config) { c.ClientAuth = tls.RequireAndVerifyClientCert })

	if _, err := post(t.Context(), client(t), r.url); err == nil {
		t.Error("a caller without a certificate got an answer")
	}
}

// TestManyAtOnce has 2,000 reviews at the same moment from one address, each
// over a connection of its own. None is cut. They come by and by: a busy machine
// can't make so many handshakes at once.
func TestManyAtOnce(t *testing.T) {
	const many, coming = 2000, 32

	var arrived, callers sync.WaitGroup

	arrived.Add(many)

	way := make(chan struct{}, coming)

	r := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		<-way
		arrived.Done()
		arrived.Wait() // for the others

		w.WriteHeader(http.StatusOK)
	})

	c := client(t)
	c.Timeout = 0 // the test's own limit is enough

	for range many {
		way <- struct{}{}

		callers.Go(func() {
			if _, err := post(t.Context(), c, r.url); err != nil {
				t.Error(err)

				select {
				case <-way: // it never arrived
				default:
				}
			}
		})
	}

	callers.Wait()
}

// TestStrangersPushOutEachOther opens more connections than there may be, and
// sends nothing over them: the oldest is closed. A caller that was served keeps
// its connection, and a new caller is served.
func TestStrangersPushOutEachOther(t *testing.T) {
	r := serve(t, answers)
	served, oldest := once(t), dial(t, r)

	if _, err := post(t.Context(), served, r.url); err != nil {
		t.Fatal(err)
	}

	for range maxNew + 100 {
		dial(t, r)
	}

	closes(t, oldest)

	for reason, c := range map[string]*http.Client{"served before": served, "new": once(t)} {
		if _, err := post(t.Context(), c, r.url); err != nil {
			t.Errorf("a caller that is %s: %v", reason, err)
		}
	}

	if n := testutil.ToFloat64(r.connections.cutNew); n < 100 {
		t.Errorf("%v cut connections were counted", n)
	}
}

// TestServedHaveABound has more callers than there may be, each served over a
// connection that is kept. The one is closed that is unused for the longest
// time.
func TestServedHaveABound(t *testing.T) {
	r := serve(t, answers)
	first, second := once(t), once(t)
	start := time.Now()

	// A caller has its answer a moment before its connection counts as served.
	ask := func(c *http.Client, served int) {
		t.Helper()

		if _, err := post(t.Context(), c, r.url); err != nil {
			t.Fatal(err)
		}

		for !r.connections.areServed(served) {
			if time.Since(start) > 5*time.Minute {
				t.Fatalf("not %d connections are served and idle", served)
			}

			time.Sleep(time.Millisecond)
		}
	}

	ask(first, 1)
	ask(second, 2)
	ask(first, 2)

	for i := range maxServed - 1 {
		ask(once(t), min(3+i, maxServed))
	}

	if _, err := post(t.Context(), second, r.url); err == nil {
		t.Error("the longest unused connection is still there")
	}

	if _, err := post(t.Context(), first, r.url); err != nil {
		t.Errorf("another than the longest unused was closed: %v", err)
	}
}

// areServed tells whether so many connections are served, and all are idle.
func (c *connections) areServed(want int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	for e := c.served.Front(); e != nil; e = e.Next() {
		if k, ok := e.Value.(*connection); ok && k.state != http.StateIdle {
			return false
		}
	}

	return c.served.Len() == want
}

// TestNotServed has callers that get other answers than a review gets. Such an
// answer is the last on its connection.
func TestNotServed(t *testing.T) {
	r := serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no review", http.StatusBadRequest) })
	c := once(t)

	if _, err := post(t.Context(), c, r.url); err != nil {
		t.Fatal(err)
	}

	if _, err := post(t.Context(), c, r.url); err == nil {
		t.Error("the connection was kept")
	}
}

// TestErrorLog writes many lines at once. One of each kind comes through.
func TestErrorLog(t *testing.T) {
	var lines []string

	l := newErrorLog(funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{}))
	for range 1000 {
		l.Print("http: TLS handshake error from 192.0.2.1:1: EOF")
		l.Print("http: panic serving 192.0.2.1:1: oops")
	}

	if len(lines) != 2 || !strings.Contains(lines[0], "handshake") || !strings.Contains(lines[1], "panic") {
		t.Errorf("%q", lines)
	}
}
