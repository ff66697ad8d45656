//go:build apiserver

package stress

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The load of TestOverload, in reviews at once: what Telltale is told to work
// on, and ten times that.
const inFlight, tenfold = 8, 80

// TestOverload: ten times the load that Telltale may take, ordinary pods and
// huge ones; and a machine that stalls for longer than API servers wait.
func TestOverload(t *testing.T) {
	s := start(t, shared, "10 × the load it takes, huge pods, a stalled machine",
		"every pod admitted, in time; each shed or late one counted; memory ≤ 256 MiB", 1, 1, fmt.Sprintf("--max-in-flight=%d", inFlight))
	owners := s.deployments(t, s.namespaces[0], 20)
	var seen asked
	crowd := s.crowd(&seen)

	crowd(scale(4000, 40_000), func(i int) []byte { return owners[i%len(owners)].review(i) })
	ordinary := seen.slowest
	if n := seen.hungUp + seen.unread; n > 0 {
		t.Errorf("%d ordinary reviews got no answer in time", n)
	}
	crowd(scale(100, 2000), func(i int) []byte {
		return bytes.Replace(owners[i%len(owners)].review(i), []byte(`"own"`), []byte(`"`+strings.Repeat("own", 400_000)+`"`), 1)
	})
	s.replicas[0].process.Signal(syscall.SIGSTOP)
	eventually(t, patience, "stopped", s.replicas[0].stopped)
	stalled := time.AfterFunc(apiServerWaits+2*time.Second, func() { s.replicas[0].process.Signal(syscall.SIGCONT) })
	defer stalled.Stop()
	crowd(tenfold, func(i int) []byte { return owners[i%len(owners)].review(i) })

	s.hold(&seen)
	s.note("%d in full, %d shed, %d late, the slowest of the ordinary in %.2f s",
		seen.conflict, seen.overload+seen.unread, seen.timeout+seen.hungUp, ordinary.Seconds())
}

// stopped is an error unless the process stands still, as Linux tells
// (proc_pid_status(5)).
func (r *replica) stopped(context.Context) error {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.process.PID()))
	if err == nil && !bytes.Contains(status, []byte("\nState:\tT")) {
		err = errors.New("it runs")
	}

	return err
}

// hold fails the test unless what was counted, by reason, and what is shown, is
// what clients saw. A review whose client hung up is late, or was shed.
func (s *scenario) hold(seen *asked) {
	s.Helper()
	if seen.wrong != nil {
		s.Error(seen.wrong)
	}
	if seen.conflict == 0 || seen.overload == 0 || seen.hungUp == 0 {
		s.Errorf("it did not come to all that: %+v", seen)
	}
	all := int64(seen.conflict + seen.overload + seen.timeout + seen.hungUp + seen.unread)
	count := func(ctx context.Context, reason ...string) int64 {
		n, err := s.replicas[0].metric(ctx, "telltale_injection_failures_total", reason...)
		if err != nil {
			s.Error(err)
		}

		return n
	}
	eventually(s.T, patience, "failures", func(ctx context.Context) error { return want("failures", count(ctx), all) })
	// That a client has gone is heard of soon, but there is no promise (yield).
	if n := count(s.Context(), "InjectionConflict") - int64(seen.conflict); n < 0 || n > int64(seen.hungUp)/2 {
		s.Errorf("%d of %d late ones count as if in time", n, seen.hungUp)
	}
	s.settle(patience)
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

// asked is what became of reviews, as their senders saw it.
type asked struct {
	mu                          sync.Mutex
	conflict, overload, timeout int // answered, with that record
	hungUp                      int // not answered in time
	unread                      int // answered by 503
	slowest                     time.Duration
	wrong                       error // an answer that breaks a promise
}

// crowd returns a function that sends reviews by many clients at once, over
// connections that are kept, and waits for what becomes of them.
func (s *scenario) crowd(seen *asked) func(n int, body func(i int) []byte) {
	s.Helper()
	client := s.client()
	client.Timeout = apiServerWaits
	if transport, ok := client.Transport.(*http.Transport); ok {
		transport.MaxIdleConnsPerHost = tenfold
	}
	s.Cleanup(client.CloseIdleConnections)

	return func(n int, body func(i int) []byte) {
		next := make(chan int)
		var workers sync.WaitGroup
		for range tenfold {
			workers.Go(func() {
				for i := range next {
					begin := time.Now()
					patch, err := ask(s.Context(), client, s.replicas[0].port, body(i))
					seen.add(patch, err, time.Since(begin))
				}
			})
		}
		for i := range n {
			next <- i
		}
		close(next)
		workers.Wait()
	}
}

// errUnread is that of a review for which there was no room.
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
	if err := json.NewDecoder(response.Body).Decode(&review); err != nil {
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
	has := func(reason string) bool { return bytes.Contains(patch, []byte("cluster/stress="+reason)) }
	switch {
	case err == errUnread: //nolint:errorlint // ask returns it as it is
		a.unread++
	case os.IsTimeout(err):
		a.hungUp++
	case err != nil:
		a.wrong = err
	case has("InjectionConflict"):
		a.conflict++
	case has("InjectionOverload"):
		a.overload++
	case has("InjectionTimeout"):
		a.timeout++
	default:
		a.wrong = fmt.Errorf("a pod does not carry the record of its failure: %s", patch)
	}
	if err == nil {
		a.slowest = max(a.slowest, took)
	}
}
