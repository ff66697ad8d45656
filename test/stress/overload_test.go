//go:build apiserver

package stress

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/test/harness"
)

// The load of TestOverload, in reviews at once: as many as Telltale may work on,
// and ten times as many.
const inFlight, tenfold = 8, 80

// TestOverload: ten times the load that Telltale may take, ordinary pods and
// huge ones; all of it at the same moment; and a machine that stalls for longer
// than API servers wait.
func TestOverload(t *testing.T) {
	// With enough CPUs for all reviews, it is luck how many of them wait for one.
	t.Setenv("GOMAXPROCS", "1")
	s := start(t, shared, "10 × the load it takes, huge pods, a stalled machine",
		"every pod admitted, in time; each shed or late one counted; memory ≤ 256 MiB", 1, 1, fmt.Sprintf("--max-in-flight=%d", inFlight))
	owners := s.deployments(t, s.namespaces[0], 20)
	ordinary := func(i int) []byte { return owners[i%len(owners)].review(i) }
	var seen asked
	crowd := s.crowd(&seen)

	crowd.send(scale(4000, 40_000), ordinary)
	slowest := seen.slowest
	if n := seen.hungUp + seen.unread; n > 0 {
		t.Errorf("%d ordinary reviews got no answer in time", n)
	}
	crowd.send(scale(100, 2000), func(i int) []byte {
		return bytes.Replace(ordinary(i), []byte(`"own"`), []byte(`"`+strings.Repeat("own", 400_000)+`"`), 1)
	})
	crowd.burst(ordinary)
	crowd.stall(ordinary)

	s.hold(&seen)
	s.note("%d in full, %d shed, %d late, the slowest of the ordinary in %.2f s",
		seen.conflict, seen.overload+seen.unread, seen.timeout+seen.hungUp, slowest.Seconds())
}

// crowd is many clients, each with a connection that is kept.
type crowd struct {
	s       *scenario
	seen    *asked
	clients []*http.Client
}

// burst has all clients send at the same moment: the replica stands still until
// it has a review of each.
func (c *crowd) burst(body func(i int) []byte) {
	c.s.Helper()
	c.each(c.s.Context(), body) // they are connected
	shed := c.seen.overload
	written := make(chan struct{}, 2*tenfold)
	ctx := httptrace.WithClientTrace(c.s.Context(), &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { written <- struct{}{} },
	})
	goOn := c.s.replicas[0].standStill(c.s.T)
	go func() {
		defer goOn()
		for range tenfold {
			select {
			case <-written:
			case <-time.After(harness.Patience):
				return
			}
		}
	}()
	c.each(ctx, body)
	if n := c.seen.overload - shed; n < tenfold/2 {
		c.s.Errorf("%d of %d that came at once were shed", n, tenfold)
	}
}

// stall has all clients send while the replica stands still, until they have hung
// up. None of their reviews may count as answered.
func (c *crowd) stall(body func(i int) []byte) {
	c.s.Helper()
	c.each(c.s.Context(), body) // they are connected
	r := c.s.replicas[0]
	failures := func(ctx context.Context, reason ...string) int64 {
		n, err := r.metric(ctx, "telltale_injection_failures_total", reason...)
		if err != nil {
			c.s.Error(err)
		}

		return n
	}
	before, late, hungUp := failures(c.s.Context()), failures(c.s.Context(), "InjectionTimeout"), c.seen.hungUp
	goOn := r.standStill(c.s.T)
	c.each(c.s.Context(), body)
	goOn()
	if n := c.seen.hungUp - hungUp; n != tenfold {
		c.s.Errorf("%d of %d hung up", n, tenfold)
	}
	harness.Eventually(c.s.T, "counted", func(ctx context.Context) error {
		return want("failures", failures(ctx)-before, tenfold)
	})
	if n := failures(c.s.Context(), "InjectionTimeout") - late; n != tenfold {
		c.s.Errorf("%d of %d that hung up are late, the others count as if in time, or as shed", n, tenfold)
	}
}

// standStill stops the process until the returned function is called.
func (r *replica) standStill(t *testing.T) func() {
	t.Helper()
	r.Signal(syscall.SIGSTOP)
	harness.Eventually(t, "stopped", r.stopped)

	return func() { r.Signal(syscall.SIGCONT) }
}

// stopped is an error unless Linux says that the process stands still
// (proc_pid_status(5)).
func (r *replica) stopped(context.Context) error {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.PID()))
	if err == nil && !bytes.Contains(status, []byte("\nState:\tT")) {
		err = errors.New("it runs")
	}

	return err
}

// hold fails the test unless the metrics, by reason, and the events agree with the
// answers that clients saw. If a client hung up, its review was late, or was shed.
func (s *scenario) hold(seen *asked) {
	s.Helper()
	if seen.wrong != nil {
		s.Error(seen.wrong)
	}
	all := int64(seen.conflict + seen.overload + seen.timeout + seen.hungUp + seen.unread)
	count := func(ctx context.Context, reason ...string) int64 {
		n, err := s.replicas[0].metric(ctx, "telltale_injection_failures_total", reason...)
		if err != nil {
			s.Error(err)
		}

		return n
	}
	harness.Eventually(s.T, "failures", func(ctx context.Context) error { return want("failures", count(ctx), all) })
	// A client of a huge pod may have hung up when its answer was on the way;
	// those of the stall hung up before.
	if n := count(s.Context(), "InjectionConflict") - int64(seen.conflict); n < 0 || n > int64(seen.hungUp-tenfold) {
		s.Errorf("%d late ones count as if in time", n)
	}
	s.drain(harness.Patience)
	s.failures = all
	s.counts()
	if s.shown+s.unreported != all {
		s.Errorf("%d failures: %d shown, %d unreported", all, s.shown, s.unreported)
	}
	s.replicas[0].end()
	if peak := s.replicas[0].peak; peak > memoryBound {
		s.Errorf("%d MiB of memory", peak>>20)
	}
}

// apiServerWaits is timeoutSeconds of config/webhook.
const apiServerWaits = 5 * time.Second

// asked are the results of reviews, as their senders saw them.
type asked struct {
	mu                          sync.Mutex
	conflict, overload, timeout int // answered, with that record
	hungUp                      int // not answered in time
	unread                      int // answered by 503
	slowest                     time.Duration
	wrong                       error // an answer that breaks a promise
}

func (s *scenario) crowd(seen *asked) *crowd {
	s.Helper()
	c := &crowd{s: s, seen: seen}
	for range tenfold {
		client := s.client()
		client.Timeout = apiServerWaits
		c.clients = append(c.clients, client)
		s.Cleanup(client.CloseIdleConnections)
	}

	return c
}

// send sends reviews by all clients, and waits for the results.
func (c *crowd) send(n int, body func(i int) []byte) {
	next := make(chan int)
	var workers sync.WaitGroup
	for _, client := range c.clients {
		workers.Go(func() {
			for i := range next {
				c.ask(c.s.Context(), client, body(i))
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
}

// each sends a review by each client, and waits for the results.
func (c *crowd) each(ctx context.Context, body func(i int) []byte) {
	var workers sync.WaitGroup
	for i, client := range c.clients {
		workers.Go(func() { c.ask(ctx, client, body(i)) })
	}
	workers.Wait()
}

func (c *crowd) ask(ctx context.Context, client *http.Client, body []byte) {
	begin := time.Now()
	patch, err := ask(ctx, client, c.s.replicas[0].Port, body)
	c.seen.add(patch, err, time.Since(begin))
}

// errUnread says that there was no memory for a review's body.
var errUnread = fmt.Errorf("status %d", http.StatusServiceUnavailable)

// ask sends a review, and returns the patch in its answer.
func ask(ctx context.Context, client *http.Client, port string, body []byte) (patch []byte, err error) {
	url := fmt.Sprintf("https://localhost:%s/mutate--v1-pod?timeout=%s", port, apiServerWaits)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusServiceUnavailable {
		return nil, errUnread
	}
	var review struct {
		Response struct {
			Allowed bool   `json:"allowed"`
			Patch   []byte `json:"patch"`
		} `json:"response"`
	}
	answer, err := io.ReadAll(response.Body) // to its end: the connection is kept
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(answer, &review); err != nil {
		return nil, err
	}
	if !review.Response.Allowed {
		return nil, fmt.Errorf("a pod was refused")
	}

	return review.Response.Patch, nil
}

func (a *asked) add(patch []byte, err error, took time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err == errUnread: //nolint:errorlint // ask returns it as it is
		a.unread++
	case os.IsTimeout(err):
		a.hungUp++
	case err != nil:
		a.wrong = err
	case recorded(patch, "InjectionConflict"):
		a.conflict++
	case recorded(patch, "InjectionOverload"):
		a.overload++
	case recorded(patch, "InjectionTimeout"):
		a.timeout++
	default:
		a.wrong = fmt.Errorf("a pod does not carry the record of its failure: %s", patch)
	}
	if err == nil {
		a.slowest = max(a.slowest, took)
	}
}
