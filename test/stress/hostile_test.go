//go:build apiserver

package stress

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/test/harness"
)

// hostileMemory is what Telltale may take meanwhile, in bytes.
const hostileMemory = 128 << 20

// TestHostile: connections that bring no review, from many addresses, while real
// reviews arrive. By turns, the connections go to a port that discards all of it,
// so that we know what they cost this machine.
func TestHostile(t *testing.T) {
	most := scale(500, 10_000)
	s := start(t, shared, fmt.Sprintf("%d hostile connections from 200 addresses", most),
		"each real review is injected, p99 ≤ 2 × that with the connections aimed elsewhere; memory ≤ 128 MiB; nothing on any Deployment", 1, 1)
	owners := s.deployments(t, s.namespaces[0], 5)
	if files := int(raiseFiles(t)) - 200; most > files {
		most = files
		s.note("only %d connections, because of ulimit -n", most)
	}
	port := harness.FreePort(t)
	s.player("discard", port)

	var elsewhere, onUs []took
	for range scale(2, 3) { // what else the machine does can only make answers slower
		for _, target := range []struct {
			port string
			took *[]took
		}{{port, &elsewhere}, {s.replicas[0].Port, &onUs}} {
			flood := s.player("flood", target.port, most, scale(250, 500))
			*target.took = append(*target.took, s.real(owners, func() bool { return says(flood.log, allOpen) == nil }))
			flood.Kill()
		}
	}
	before, amid := best(elsewhere), best(onUs)
	s.note("p99 (max) %v (%v) with the connections aimed elsewhere, %v (%v) on us", before.p99(), before.most(), amid.p99(), amid.most())
	if times := amid.p99().Seconds() / before.p99().Seconds(); *full && times > 2 { // a busy machine has no p99 to judge
		t.Errorf("p99 is %.1f × %v", times, before.p99())
	}
	cut, err := s.replicas[0].metric(t.Context(), "telltale_connections_cut_total")
	if err != nil {
		t.Error(err)
	}
	s.note("%d connections cut", cut)
	s.drain(harness.Patience)
	if events := s.events(); len(events) > 0 {
		t.Errorf("an event on %s %s: %s", events[0].InvolvedObject.Kind, events[0].InvolvedObject.Name, events[0].Message)
	}
	s.replicas[0].end()
	if peak := s.replicas[0].peak; peak > hostileMemory {
		t.Errorf("%d MiB of memory", peak>>20)
	}
}

// raiseFiles lets this process, and those that it starts, open as many files as it
// may, and returns the number.
func raiseFiles(t *testing.T) uint64 {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}

	return limit.Cur
}

// realRate is how many real reviews a second arrive, in the short form a quarter. One
// of realAnew comes over a connection of its own.
const realRate, realAnew = 200, 20

// took is how long the answers to real reviews took, the shortest first.
type took []time.Duration

func (t took) p99() time.Duration { return t[len(t)*99/100].Round(10 * time.Microsecond) }

func (t took) most() time.Duration { return t[len(t)-1].Round(10 * time.Microsecond) }

// best returns the results with the least p99.
func best(all []took) took {
	return slices.MinFunc(all, func(a, b took) int { return int(a.p99() - b.p99()) })
}

// real sends real reviews at a steady rate, whether answers come or not, until
// something is over, for three minutes at most. Each must be injected.
func (s *scenario) real(owners []owner, over func() bool) took {
	s.Helper()
	kept, anew := s.client(), s.client()
	kept.Timeout, anew.Timeout = apiServerWaits, apiServerWaits
	kept.Transport.(*http.Transport).MaxIdleConnsPerHost = 1000 // else more reviews at a time make connections anew
	anew.Transport.(*http.Transport).DisableKeepAlives = true
	defer kept.CloseIdleConnections()

	var (
		mu      sync.Mutex
		all     took
		failed  []error
		reviews sync.WaitGroup
	)
	one := func(i int) {
		client, begin := kept, time.Now()
		if i%realAnew == realAnew-1 {
			client = anew
		}
		body := bytes.Replace(owners[i%len(owners)].review(i), []byte("HTTP_PROXY"), []byte("OTHER"), 1)
		patch, err := ask(s.Context(), client, s.replicas[0].Port, body)
		if err == nil && !bytes.Contains(patch, []byte("HTTP_PROXY")) {
			err = fmt.Errorf("not injected: %s", patch)
		}
		mu.Lock()
		defer mu.Unlock()
		if all = append(all, time.Since(begin)); err != nil {
			failed = append(failed, err)
		}
	}

	rate := scale(realRate/4, realRate)
	next := time.NewTicker(time.Second / time.Duration(rate))
	defer next.Stop()
	for i := 0; i < rate || i < 180*rate && (i%rate > 0 || !over()); i++ {
		<-next.C
		reviews.Go(func() { one(i) })
	}
	reviews.Wait()
	if len(failed) > 0 || !over() {
		s.Errorf("%d of %d real reviews were not injected, over: %v: %v", len(failed), len(all), over(), failed)
	}
	slices.Sort(all)

	return all
}
