package webhook

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/server"
)

// callers is the number of reviews that these tests send before the first is
// looked at.
const callers = 100

// call connects to a listener that no server uses yet, and sends a review.
func call(t *testing.T, l net.Listener, review string) net.Conn {
	t.Helper()

	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}

	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", Path, len(review), review)

	return c
}

func listen(t *testing.T) net.Listener {
	t.Helper()

	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	return l
}

// serve serves a listener until all callers have been counted, and returns how
// many of each outcome there are.
func serve(t *testing.T, in *Injector, l net.Listener) func(Outcome) float64 {
	t.Helper()

	h := http.Server{Handler: in, ReadHeaderTimeout: time.Minute, ConnContext: server.ConnContext}
	ended := make(chan error)

	go func() { ended <- h.Serve(l) }()

	count := func(o Outcome) float64 { return testutil.ToFloat64(in.metrics.requests[o]) }
	for start := time.Now(); count(Failed)+count(Injected) < callers; runtime.Gosched() {
		if time.Since(start) > time.Minute {
			t.Fatalf("%v of %d were counted", count(Failed)+count(Injected), callers)
		}
	}

	if err := errors.Join(h.Close(), <-ended); !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}

	return count
}

// TestBacklog runs on one CPU, as if the process had been stalled. Far more
// reviews wait for the CPU than may be in flight: the waiting ones are counted,
// and shed. (Reviews are worked on without a pause, so no more of them are
// begun than there are CPUs. The Injector sees a backlog only because it looks
// before it works.)
func TestBacklog(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))

	var reported reports

	l := listen(t)
	review := checkout(t)

	for range callers {
		c := call(t, l, review)
		t.Cleanup(func() { _ = c.Close() })
	}

	const most = 8
	count := serve(t, New(knows(injection("proxy", "HTTP_PROXY", "p")), &reported, Options{MaxInFlight: most, Patience: time.Minute}), l)

	// The scheduler is free to choose: at times the reviews in flight run before
	// all have come, and more get a slot.
	if n := count(Injected); n < most || n > callers*3/4 {
		t.Errorf("%v of %d were worked on, want not many more than %d", n, callers, most)
	}

	for _, r := range reported.reasons() {
		if r != failure.Overload {
			t.Fatalf("reported %s", r)
		}
	}
}

// TestHungUp has callers that send their review and hang up before it is looked
// at, as API servers do while the machine stalls. Each counts as a caller that
// got no answer, even if its review would have been shed.
func TestHungUp(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells if a caller has hung up")
	}

	for name, most := range map[string]int{"Slots": callers, "Shed": 1} {
		t.Run(name, func(t *testing.T) {
			var reported reports

			l := listen(t)
			review := checkout(t)

			for range callers {
				call(t, l, review).Close()
			}

			in := New(knows(injection("proxy", "HTTP_PROXY", "p")), &reported, Options{MaxInFlight: most, Gone: server.Gone})
			if n := serve(t, in, l)(Failed); n != callers {
				t.Errorf("%v of %d were taken for injected", callers-n, callers)
			}

			for _, r := range reported.reasons() {
				if r != failure.Timeout {
					t.Fatalf("reported %s", r)
				}
			}
		})
	}
}

// TestSlowCaller has a caller that sends half a review. When an API server's
// patience is over, the caller gets an error, and the bytes that it held are
// free for others.
func TestSlowCaller(t *testing.T) {
	var reported reports

	// The answer must be written within as long again: a busy machine needs that.
	in := New(knows(injection("proxy", "HTTP_PROXY", "p")), &reported, Options{Patience: 3 * time.Second})
	h := httptest.NewServer(in)
	t.Cleanup(h.Close)

	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", h.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	fmt.Fprintf(c, "POST %s?timeout=30s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n{", Path, maxReview)

	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()

	if response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d", response.StatusCode)
	}

	h.Close() // the handler has returned

	if diff := cmp.Diff([]failure.Reason{failure.Timeout}, reported.reasons()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}

	if n := testutil.ToFloat64(in.metrics.requests[Failed]); n != 1 || in.room.free != minBytes-maxReview {
		t.Errorf("%v counted, %d bytes free", n, in.room.free)
	}
}

// TestStrangers has callers that announce the largest bodies, with the longest
// patience, and send nothing of them, or nearly all. Ordinary reviews do not
// wait for them.
func TestStrangers(t *testing.T) {
	cases := map[string]struct {
		reason     string
		send, many int
	}{
		"Silent":  {"No byte has arrived, so none is held.", 0, 100},
		"Stalled": {"They hold all the memory that there is, until others need it.", maxReview - 1, 5},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var reported reports

			h := httptest.NewServer(New(knows(injection("proxy", "HTTP_PROXY", "p")), &reported, Options{Patience: time.Minute}))
			t.Cleanup(h.Close)

			var sent sync.WaitGroup

			for range c.many {
				stranger, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", h.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}

				t.Cleanup(func() { _ = stranger.Close() })
				sent.Go(func() { // until it is cut, or it has sent all that it wants to
					fmt.Fprintf(stranger, "POST %s?timeout=30s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s",
						Path, maxReview, strings.Repeat("x", c.send))
				})
			}

			sent.Wait()

			start := time.Now()

			for range 10 {
				response, err := h.Client().Post(h.URL+Path, "application/json", strings.NewReader(checkout(t)))
				if err != nil {
					t.Fatal(err)
				}

				response.Body.Close()

				if response.StatusCode != http.StatusOK {
					t.Fatalf("%s status %d after %v", c.reason, response.StatusCode, time.Since(start))
				}
			}

			if took := time.Since(start); took > 30*time.Second { // strangers are cut after 54 s
				t.Errorf("%s they took %v", c.reason, took)
			}
		})
	}
}

// TestCutCaller has callers that send most of the largest bodies, and the rest
// after others needed the memory. Each can send it, and then reads its answer: if
// it was cut, that its review was shed. (If the connection were closed, an API
// server that is busy might not see the answer.)
func TestCutCaller(t *testing.T) {
	h := httptest.NewServer(New(knows(), &reports{}, Options{}))
	t.Cleanup(h.Close)

	const left = 1 << 20

	var (
		sent  sync.WaitGroup
		conns [5]net.Conn
	)

	for i := range conns {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", h.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}

		t.Cleanup(func() { _ = c.Close() })

		conns[i] = c
		sent.Go(func() {
			fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", Path, maxReview, strings.Repeat("x", maxReview-left))
		})
	}

	sent.Wait()

	for start := time.Now(); time.Since(start) < 10*grace; { // the first are cut meanwhile
		response, err := h.Client().Post(h.URL+Path, "application/json", strings.NewReader(checkout(t)))
		if err != nil {
			t.Fatal(err)
		}

		response.Body.Close()
	}

	shed := 0

	for _, c := range conns {
		if _, err := io.WriteString(c, strings.Repeat("x", left)); err != nil {
			t.Error(err)
		}

		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}

		response.Body.Close()

		if response.StatusCode == http.StatusServiceUnavailable {
			shed++
		}
	}

	if shed == 0 {
		t.Error("none was cut")
	}
}
