package otlp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel/attribute"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// backend is an exporter that keeps what it takes. Each request ends by chance as
// one of some outcomes.
type backend struct {
	mu       sync.Mutex
	rand     *rand.Rand
	outcomes []outcome
	kept     map[string]kept // by log.record.uid
	requests int
	largest  int
}

type kept struct {
	failures int64
	time     time.Time
	text     string
}

// outcome is how a request ends.
type outcome int

const (
	taken      outcome = iota
	answerLost         // after it was taken
	away
	busy // with a time to wait
	partly
	invalid // if it has more than half of the requests' records, or one
)

func newBackend(outcomes ...outcome) *backend {
	return &backend{rand: rand.New(rand.NewPCG(1, uint64(len(outcomes)))), outcomes: outcomes, kept: map[string]kept{}}
}

func (b *backend) Export(ctx context.Context, records []sdklog.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests++
	b.largest = max(b.largest, len(records))
	switch b.outcomes[b.rand.IntN(len(b.outcomes))] {
	case answerLost:
		b.keep(records)

		return errors.New("connection reset")
	case busy:
		heard(ctx).wait = 3 * time.Second

		return errors.New("429")
	case away:
		return errors.New("connection refused")
	case partly:
		n := b.rand.IntN(len(records) + 1)
		b.keep(records[:n])
		a := heard(ctx)
		a.taken, a.refused = true, int64(len(records)-n)

		return errors.New("partial success")
	case invalid:
		heard(ctx).invalid = true

		return errors.New("400")
	default:
		b.keep(records)
		heard(ctx).taken = true

		return nil
	}
}

func (b *backend) keep(records []sdklog.Record) {
	for i := range records {
		a := attributes(&records[i])
		uid := a[keyRecordUID].AsString()
		k := kept{a[keyFailures].AsInt64(), records[i].Timestamp(), records[i].Body().AsString()}
		if was, again := b.kept[uid]; again && was != k {
			panic(fmt.Sprintf("record %s was %v, and is %v", uid, was, k))
		}
		b.kept[uid] = k
	}
}

// sum is the number of failures over distinct uids.
func (b *backend) sum() (n int64) {
	for _, k := range b.kept {
		n += k.failures
	}

	return n
}

func (*backend) Shutdown(context.Context) error   { return nil }
func (*backend) ForceFlush(context.Context) error { return nil }

func attributes(r *sdklog.Record) map[attribute.Key]attribute.Value {
	all := map[attribute.Key]attribute.Value{}
	r.WalkAttributes(func(kv attribute.KeyValue) bool {
		all[kv.Key] = kv.Value

		return true
	})

	return all
}

func testOptions() Options {
	return Options{
		Log: logr.Discard(), Version: "v1.2.3", Instance: "telltale-0",
		ClusterUID: func(context.Context) (string, error) { return "cluster-uid", nil },
		Text:       func(f failure.Failure) string { return f.Text },
	}
}

// TestExactSum: whatever becomes of requests, a record that is sent again is the
// same, and the sum over distinct uids is the number of reported failures. Only
// failures of requests that the backend took in part may be in the store, too.
func TestExactSum(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason   string
		outcomes []outcome
	}{
		"Unclear": {"No answer, or the demand to wait: all are there in the end.", []outcome{taken, answerLost, away, busy}},
		"Refused": {"Parts are refused for ever.", []outcome{taken, answerLost, away, busy, partly, invalid}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBackend(tc.outcomes...)
			p := &play{t: t, writer: newWriter(testOptions(), b), rand: b.rand, now: time.Unix(1_000_000, 0)}
			p.ledger = ledger.New(ledger.Options{MaxKeys: 20, Together: true})
			for range 3000 {
				p.step()
			}
			b.outcomes = []outcome{taken}
			for p.ledger.Pending() > 0 {
				p.flush()
			}
			s := p.ledger.Stats()
			lost := s.Unreported[ledger.Partial] + s.Unreported[ledger.RecordInvalid]
			if s.Reported+lost != p.added {
				t.Errorf("%d failures, and %+v", p.added, s)
			}
			if n := b.sum(); n < s.Reported || n > s.Reported+lost || lost == 0 && name == "Refused" {
				t.Errorf("%s the store has %d failures, %d are reported, %d lost", tc.reason, n, s.Reported, lost)
			}
		})
	}
}

// play is a ledger whose entries go to a backend.
type play struct {
	t      *testing.T
	writer *Writer
	ledger *ledger.Ledger
	rand   *rand.Rand
	now    time.Time
	added  int64
}

func (p *play) step() {
	p.writer.lock(func() {
		for range p.rand.IntN(10) {
			f := conflict(fmt.Sprint(p.rand.IntN(15)))
			f.Text = fmt.Sprint(p.added)
			if p.rand.IntN(3) == 0 {
				f.Reason, f.Once = failure.Missed, fmt.Sprint("pod-", p.added)
			}
			p.ledger.Add(f, p.now)
			p.added++
		}
	})
	p.flush()
}

// flush writes all entries that are due, at the same time.
func (p *play) flush() {
	p.now = p.now.Add(time.Second)
	var (
		writing sync.WaitGroup
		mu      sync.Mutex
	)
	for e, ok := p.ledger.Due(p.now); ok; e, ok = p.due(&mu) {
		writing.Go(func() {
			if !e.Resolved && !e.Receipt.Unclear {
				mu.Lock()
				defer mu.Unlock()
				p.ledger.Move(e, e.Owner, p.now)

				return
			}
			r, err := p.writer.Write(p.t.Context(), e)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				p.ledger.Refuse(e, r, 0, p.now)
			} else {
				p.ledger.Settle(e, r, p.now)
			}
		})
	}
	writing.Wait()
	if err := p.ledger.Check(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *play) due(mu *sync.Mutex) (ledger.Entry, bool) {
	mu.Lock()
	defer mu.Unlock()

	return p.ledger.Due(p.now)
}

// lock keeps the backend's source of chance for the caller.
func (w *Writer) lock(do func()) {
	b := w.exporter.(*backend)
	b.mu.Lock()
	defer b.mu.Unlock()
	do()
}

func conflict(name string) failure.Failure {
	return failure.Failure{
		Reason: failure.Conflict, Injection: failure.Injection{Name: "proxy"}, Revision: "5f3c9a1b", Pod: name + "-*", Text: "no.",
		Owner: failure.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: name, UID: types.UID(name)},
	}
}

// entry returns an entry with so many failures; none is stored.
func entry(total int64) ledger.Entry {
	at := time.Unix(1_000_000, 0)

	return ledger.Entry{Failure: conflict("web"), ID: 1, Resolved: true, Total: total, Owed: total, Since: at, Last: at.Add(time.Second)}
}

// TestPartial: a request that was taken in part is not sent again, and its failures
// are refused. The entry's later ones are sent.
func TestPartial(t *testing.T) {
	t.Parallel()
	b := newBackend(partly)
	w := newWriter(testOptions(), b)
	e := entry(3)
	var err error
	for e.Receipt.Refused == 0 && err == nil { // by chance, all is taken
		e.Total += 3
		e.Receipt, err = w.Write(t.Context(), e)
	}
	if r := e.Receipt; err != nil || r.Stored+r.Refused != e.Total || r.Refused != 3 || r.Why != ledger.Partial || r.Unclear {
		t.Errorf("%+v: %v", r, err)
	}
	n := b.requests
	if _, err = w.Write(t.Context(), e); err != nil || b.requests != n {
		t.Errorf("%d requests for nothing: %v", b.requests-n, err)
	}
	b.outcomes = []outcome{taken}
	e.Total += 2
	if r, err := w.Write(t.Context(), e); err != nil || r.Stored != e.Receipt.Stored+2 || r.Refused != 3 {
		t.Errorf("%+v: %v", r, err)
	}
}

// TestInvalidAlone: a record that the backend calls invalid takes no other along.
func TestInvalidAlone(t *testing.T) {
	t.Parallel()
	b := newBackend(invalid)
	w := newWriter(testOptions(), b)
	bad, good := &parcel{done: make(chan struct{})}, &parcel{done: make(chan struct{})}
	l, err := w.source.logger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bad.records = l.records(&sent{entry: entry(1), n: 1, uid: "bad"}, w.o.Text)
	good.records = l.records(&sent{entry: entry(1), n: 1, uid: "good"}, w.o.Text)
	w.exporter = choosy{b}
	w.deliver(t.Context(), []*parcel{bad, good})
	if bad.result.refused != ledger.RecordInvalid || good.result != (result{}) || b.kept["good"].failures != 1 {
		t.Errorf("bad: %+v, good: %+v", bad.result, good.result)
	}
}

// choosy is a backend that calls a request with the record "bad" invalid.
type choosy struct{ *backend }

func (c choosy) Export(ctx context.Context, records []sdklog.Record) error {
	for i := range records {
		if attributes(&records[i])[keyRecordUID].AsString() == "bad" {
			return c.backend.Export(ctx, records)
		}
	}
	c.keep(records)
	heard(ctx).taken = true

	return nil
}

// TestOnceAcrossLeaders: two leaders find the failures of the same pods. Each sends
// records with the same uids. Many go in several requests.
func TestOnceAcrossLeaders(t *testing.T) {
	t.Parallel()
	const pods = 1200
	b := newBackend(taken)
	for range 2 {
		e := entry(pods)
		e.Reason = failure.Missed
		for i := range pods {
			e.Once = append(e.Once, fmt.Sprint("pod-", i))
		}
		r, err := newWriter(testOptions(), b).Write(t.Context(), e)
		if err != nil || r.Stored != pods {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if n := b.sum(); n != pods || b.largest > maxRecords || b.requests != 6 {
		t.Errorf("%d failures, %d requests of up to %d records", n, b.requests, b.largest)
	}
}

// TestTogether: records of calls that come while a request is under way go together
// in the next.
func TestTogether(t *testing.T) {
	t.Parallel()
	b := newBackend(taken)
	w := newWriter(testOptions(), b)
	w.post.turn <- struct{}{} // a request is under way
	var calls sync.WaitGroup
	for i := range 100 {
		calls.Go(func() {
			e := entry(1)
			e.ID = uint64(i)
			if _, err := w.Write(t.Context(), e); err != nil {
				t.Error(err)
			}
		})
	}
	for n := 0; n < 100; { // all wait
		w.post.mu.Lock()
		n = len(w.post.waiting)
		w.post.mu.Unlock()
	}
	<-w.post.turn
	calls.Wait()
	if b.requests != 1 || b.sum() != 100 {
		t.Errorf("%d requests for %d failures", b.requests, b.sum())
	}
}
