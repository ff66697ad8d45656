//go:build apiserver

package event

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// turns lets one call of one writer through at a time. Only chance decides the
// order, and no clock: each call waits until it is chosen.
type turns struct {
	asked chan *turn
	ended chan struct{} // one value for each writer that has nothing more to write
}

// turn is a call of a writer that waits to be told its fate.
type turn struct {
	writer int
	fate   chan fate
	done   chan struct{}
}

// fate is how a call ends.
type fate int

const (
	works   fate = iota
	refused      // not done
	lost         // done, and the answer is lost
	doubled      // done twice, as by a network that tries again
	fates
)

// caller is a writer's connection. It waits for its turns.
type caller struct {
	http.RoundTripper
	*turns

	writer int
}

func (c caller) RoundTrip(r *http.Request) (*http.Response, error) {
	t := &turn{c.writer, make(chan fate), make(chan struct{})}
	c.asked <- t
	is := <-t.fate
	defer close(t.done)
	if is == refused {
		return answer(r, http.StatusServiceUnavailable), nil
	}
	if is == doubled {
		first := r.Clone(r.Context())
		if r.GetBody != nil {
			first.Body, _ = r.GetBody() // the body is bytes in memory
		}
		if a, err := c.RoundTripper.RoundTrip(first); err == nil {
			_ = a.Body.Close()
		}
	}
	a, err := c.RoundTripper.RoundTrip(r)
	if is == lost && err == nil {
		_ = a.Body.Close()

		return nil, context.DeadlineExceeded
	}

	return a, err
}

// TestInterleavings: the calls of several writers come in any order, each call
// can have each fate at any time, and the event can expire at any time. The
// count is always the sum of the annotations, and at the end it is the number
// of failures.
func TestInterleavings(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason  string
		fates   int
		expires bool
	}{
		"Shared": {
			reason: "No writer removes the count that another one wrote meanwhile.",
			fates:  int(works) + 1,
		},
		"Spoiled": {
			reason: "Each failure is counted once, however its calls end.",
			fates:  int(fates),
		},
		"Expiring": {
			reason:  "The failures of an expired event are not on the next one, and all others are.",
			fates:   int(works) + 1,
			expires: true,
		},
	}
	for name, tc := range cases {
		for seed := range uint64(4) {
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				t.Parallel()
				i := interleaving{
					T: t, ns: namespace(t), rand: rand.New(rand.NewPCG(seed, 7)),
					turns: turns{asked: make(chan *turn), ended: make(chan struct{})},
				}
				total := i.count(5, 8, tc.fates, tc.expires)
				ev := wantCount(t, i.ns, total-i.expired)
				if t.Failed() {
					t.Errorf("%s\n%d failures, %d on events that expired, %+v", tc.reason, total, i.expired, ev)
				}
			})
		}
	}
}

type interleaving struct {
	*testing.T
	turns

	ns      string
	rand    *rand.Rand
	expired int64 // counts of events that are gone
}

// count lets a number of writers write a number of times each, and returns how
// many failures they wrote.
func (i *interleaving) count(writers, times, fates int, expires bool) (total int64) {
	steps := make([][]ledger.Entry, writers)
	for n := range steps {
		e := entry(i.ns, 0)
		for range times {
			e.Total += 1 + i.rand.Int64N(9)
			steps[n] = append(steps[n], e)
		}
		total += e.Total
	}
	i.run(steps, fates, expires)

	return total
}

// run lets writers write an entry step by step.
func (i *interleaving) run(steps [][]ledger.Entry, fates int, expires bool) {
	writers := len(steps)
	for n := range writers {
		cfg := rest.CopyConfig(cp.Config)
		cfg.Wrap(func(rt http.RoundTripper) http.RoundTripper { return caller{rt, &i.turns, n} })
		w := writer(i.T, cfg)
		w.apart = 0 // no clock decides
		go func() {
			defer func() { i.ended <- struct{}{} }()
			var last ledger.Receipt
			for _, e := range steps[n] {
				e.Receipt = last
				persist(i.T, w, &e)
				last = e.Receipt
				if last.Stored != e.Total {
					i.Errorf("stored %d of %d", last.Stored, e.Total)
				}
			}
		}()
	}

	var waiting []*turn
	for writers > 0 {
		if len(waiting) < writers { // the others are between two calls
			select {
			case t := <-i.asked:
				waiting = append(waiting, t)
			case <-i.ended:
				writers--
			}

			continue
		}
		if expires && i.rand.IntN(10) == 0 {
			i.expire()
		}
		slices.SortFunc(waiting, func(a, b *turn) int { return a.writer - b.writer }) // only chance decides
		k := i.rand.IntN(len(waiting))
		t := waiting[k]
		waiting = append(waiting[:k], waiting[k+1:]...)
		t.fate <- fate(i.rand.IntN(fates))
		<-t.done
		i.check()
	}
}

// check fails the test unless the count is the sum at this moment.
func (i *interleaving) check() {
	i.Helper()
	for _, ev := range events(i.T, i.ns) {
		if sum := read(&ev, "", time.Now()).others; int64(ev.Count) != sum {
			i.Errorf("count %d, sum of annotations %d", ev.Count, sum)
		}
	}
}

// expire deletes the event, if there is one, as if its time were over, and
// notes its count.
func (i *interleaving) expire() {
	i.Helper()
	for _, ev := range events(i.T, i.ns) {
		i.expired += int64(ev.Count)
		err := client(i.T).CoreV1().Events(i.ns).Delete(i.Context(), ev.Name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			i.Fatal(err)
		}
	}
}
