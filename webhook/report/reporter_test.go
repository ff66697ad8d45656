package report

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/event"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
	"github.com/telltale-dev/telltale/webhook/report/internal/owner"
)

// writes is a sink: it keeps the counts that were written, and makes writes
// fail.
type writes struct {
	mu     sync.Mutex
	counts map[string]int64
	n      int
	err    error
	first  time.Duration // since start
	start  time.Time
	stuck  string // the owner of the entry that hangs: its write does not end
}

func newWrites() *writes { return &writes{counts: map[string]int64{}, start: time.Now()} }

func (w *writes) Write(ctx context.Context, e ledger.Entry) (ledger.Receipt, error) {
	if e.Owner.Name == w.stuck {
		<-ctx.Done()

		return e.Receipt, ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n++
	if w.err != nil {
		return e.Receipt, w.err
	}
	if len(w.counts) == 0 {
		w.first = time.Since(w.start)
	}
	w.counts[e.Owner.Name] = e.Total

	return ledger.Receipt{Stored: e.Total}, nil
}

func (w *writes) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

// lines is a log.
type lines struct {
	mu    sync.Mutex
	lines []string
}

func (l *lines) add(_, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

func (l *lines) count(part string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, part) {
			n++
		}
	}

	return n
}

// reporter is a Reporter that finds owners without a look-up: for every
// ReplicaSet the Deployment "web", for all others themselves.
func reporter(o Options, sinks ...sink) *Reporter {
	o = o.withDefaults()
	resolve := func(_ context.Context, f failure.Failure, _ time.Duration) (failure.Ref, error) {
		switch f.Owner.Kind {
		case "":
			return f.Owner, owner.ErrNone
		case "ReplicaSet":
			return failure.Ref{Kind: "Deployment", Namespace: "shop", Name: "web", UID: "web"}, nil
		case "Forged":
			return f.Owner, fmt.Errorf("no: %w", owner.ErrUnconfirmed)
		default:
			return f.Owner, nil
		}
	}

	r := newReporter(o, newBudget(o), resolve, sinks[0])
	for _, s := range sinks[1:] {
		r.addRecordsTo(newBudget(o), o, resolve, s)
	}

	return r
}

// start runs a Reporter, and returns the function that ends it.
func start(t *testing.T, r *Reporter) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()

	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// started returns a running Reporter with a sink in memory, and the function
// that ends it.
func started(t *testing.T, o Options) (*Reporter, *writes, *lines, func()) {
	t.Helper()
	w, log := newWrites(), &lines{}
	o.Log = funcr.New(log.add, funcr.Options{})
	r := reporter(o, w)

	return r, w, log, start(t, r)
}

func conflict(kind, name string) failure.Failure {
	return failure.Failure{
		Reason: failure.Conflict, Injection: failure.Injection{Name: "proxy"}, Pod: name + "-*", Text: "no.",
		Owner: failure.Ref{Kind: kind, Namespace: "shop", Name: name, UID: types.UID(name)},
	}
}

// TestRollout: 10,000 failures in five seconds, from many ReplicaSets of one
// Deployment, become one count, first seen within a second, in few writes.
func TestRollout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w, _, end := started(t, Options{})
		for i := range 10_000 {
			r.Report(conflict("ReplicaSet", fmt.Sprintf("web-%d", i%100)))
			time.Sleep(500 * time.Microsecond)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if w.counts["web"] != 10_000 || len(w.counts) != 1 || w.n > 20 {
			t.Errorf("%d writes, of %v", w.n, w.counts)
		}
		if w.first > time.Second {
			t.Errorf("first seen after %v", w.first)
		}
		end()
	})
}

// TestOutage: failures that can't be written are kept and retried. The log says
// so, but not often. The count is exact within 30 s of the API server's return.
func TestOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w, log, end := started(t, Options{})
		w.fail(errors.New("no route to host"))
		for i := range 1000 {
			r.Report(conflict("StatefulSet", fmt.Sprintf("db-%d", i%10)))
			time.Sleep(120 * time.Millisecond)
		}
		if n := log.count("failures are kept"); n < 2 || n > 6 {
			t.Errorf("said it %d times in two minutes", n)
		}
		w.fail(nil)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if n := r.branches[0].pending(); n != 0 || len(w.counts) != 10 || w.counts["db-3"] != 100 {
			t.Errorf("%d pending, written: %v", n, w.counts)
		}
		end()
	})
}

// TestStuckWrite: a write that hangs does not hold up the others.
func TestStuckWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWrites()
		w.stuck = "stuck"
		r := reporter(Options{}, w)
		end := start(t, r)
		r.Report(conflict("StatefulSet", "stuck"))
		r.Report(conflict("StatefulSet", "db"))
		time.Sleep(time.Second)
		synctest.Wait()
		if w.counts["db"] != 1 {
			t.Errorf("written: %v", w.counts)
		}
		end()
	})
}

// TestSinksApart: one sink is away, another refuses an owner for good, and the
// third works. The sums add up for each of them.
func TestSinksApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		away, refusing, well := newWrites(), newWrites(), newWrites()
		away.fail(errors.New("no route to host"))
		refusing.fail(fmt.Errorf("no: %w", &ledger.FinalError{Cause: ledger.EventInvalid, Err: errors.New("never")}))
		r := reporter(Options{}, away, refusing, well)
		end := start(t, r)
		for i := range 1000 {
			r.Report(conflict("StatefulSet", fmt.Sprintf("db-%d", i%10)))
			r.Report(conflict("Forged", "x"))
			time.Sleep(10 * time.Millisecond)
		}
		refusing.fail(nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()

		if len(away.counts) > 0 || len(well.counts) != 10 || well.counts["db-3"] != 100 || well.first > time.Second {
			t.Errorf("away: %v, well: %v, first after %v", away.counts, well.counts, well.first)
		}
		for i, pending := range []int64{1000, 0, 0} {
			b := r.branches[i]
			b.locked(func() {
				s := b.ledger.Stats()
				sum := s.Reported + s.Pending + s.Unreported[ledger.OwnerUnconfirmed] + s.Unreported[ledger.EventInvalid]
				if s.Pending != pending || s.Added[failure.Conflict] != 2000 || sum != 2000 || s.Unreported[ledger.OwnerUnconfirmed] != 1000 {
					t.Errorf("sink %d: %+v", i, s)
				}
			})
		}
		if s := r.branches[1].ledger.Stats(); s.Unreported[ledger.EventInvalid] == 0 {
			t.Errorf("none was refused: %+v", s)
		}

		away.fail(nil)
		end()
		if len(away.counts) != 10 || away.counts["db-3"] != 100 {
			t.Errorf("back again: %v", away.counts)
		}
	})
}

// TestWaitError: if a sink asks for time, it gets it.
func TestWaitError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w, _, end := started(t, Options{})
		w.fail(fmt.Errorf("not now: %w", &ledger.WaitError{Wait: 45 * time.Second, Err: errors.New("busy")}))
		r.Report(conflict("StatefulSet", "db"))
		time.Sleep(45 * time.Second)
		synctest.Wait()
		if w.n != 1 {
			t.Errorf("%d tries", w.n)
		}
		w.fail(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		if w.counts["db"] != 1 {
			t.Errorf("written: %v", w.counts)
		}
		end()
	})
}

// TestEnd: failures that are pending when the context ends are shown at once.
func TestEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w, _, end := started(t, Options{})
		r.Report(conflict("StatefulSet", "db"))
		time.Sleep(time.Second)
		r.Report(conflict("StatefulSet", "db"))
		r.Report(conflict("ReplicaSet", "web-1"))
		start := time.Now()
		end()
		if took := time.Since(start); took > 0 {
			t.Errorf("took %v", took)
		}
		if w.counts["db"] != 2 || w.counts["web"] != 1 {
			t.Errorf("written: %v", w.counts)
		}
	})
}

// TestEndWhileAway: Run ends after its grace, and logs the failures that it
// could not show.
func TestEndWhileAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w, log, end := started(t, Options{Grace: 5 * time.Second})
		w.fail(errors.New("no route to host"))
		for i := range 150 {
			r.Report(conflict("StatefulSet", fmt.Sprintf("db-%d", i)))
		}
		time.Sleep(time.Second)
		start := time.Now()
		end()
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("took %v", took)
		}
		if n := log.count("no time to show it"); n != 100 {
			t.Errorf("%d lines", n)
		}
		if log.count(`"failures"=150`) != 1 {
			t.Error("the sum of the failures that are left was not logged")
		}
	})
}

// TestLogged: there is a line for failures that were shown, and one for
// failures that never can be, and no more lines than the limit.
func TestLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _, log, end := started(t, Options{})
		r.Report(conflict("StatefulSet", "db"))
		r.Report(conflict("StatefulSet", "db"))
		r.Report(conflict("Forged", "x"))
		time.Sleep(time.Second)
		synctest.Wait()
		want := `"k8s.event.reason"="InjectionConflict" "k8s.event.start_time"="2000-01-01T00:00:00Z" "telltale.injection.name"="proxy" ` +
			`"telltale.failures"=2 "k8s.namespace.name"="shop" "k8s.object.kind"="StatefulSet" "k8s.object.name"="db" "k8s.object.uid"="db" "k8s.pod.name"="db-*"`
		if log.count(want) != 1 || log.count(`"msg"="Injection \"proxy\" not applied: no. Last pod: db-*"`) != 1 || log.count(`"cause"="owner_unconfirmed"`) != 1 || log.count("") != 2 {
			t.Errorf("logged: %v", log.lines)
		}
		for i := range 500 {
			r.Report(conflict("StatefulSet", fmt.Sprint(i)))
			r.Report(conflict("Forged", fmt.Sprint(i)))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := log.count(""); n > linesAtOnce+2*linesPerSecond {
			t.Errorf("%d lines", n)
		}
		if n := log.count(`"cause"="owner_unconfirmed"`); n != 1 {
			t.Errorf("%d lines within a minute about one namespace's failures", n)
		}
		end()
	})
}

// TestFloodOfForged: there are more invented owners than there may be keys.
// None of them gets an event, and a real owner stays known all the time.
func TestFloodOfForged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w, _, end := started(t, Options{MaxKeys: 10})
		r.Report(conflict("ReplicaSet", "web-1"))
		time.Sleep(10 * time.Second)
		for i := range 1000 {
			r.Report(conflict("Forged", fmt.Sprint(i)))
			time.Sleep(time.Millisecond)
		}
		r.Report(conflict("ReplicaSet", "web-1"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(w.counts) != 1 || w.counts["web"] != 2 {
			t.Errorf("written: %v", w.counts)
		}
		if s := r.branches[0].ledger.Stats(); s.Unreported[ledger.OwnerUnconfirmed] != 1000 || s.Pending != 0 || s.Keys != 2 {
			t.Errorf("%+v", s)
		}

		// If one of the folded owners is real, the failures are shown on the
		// namespace.
		for i := range 100 {
			r.Report(conflict("StatefulSet", fmt.Sprint(i)))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := r.branches[0].pending(); w.counts["shop"] == 0 || n != 0 {
			t.Errorf("%d pending, written: %v", n, w.counts)
		}
		end()
	})
}

// TestMetricsAddUp: failures = reported + pending + unreported for each sink, and
// every label is there from the start.
func TestMetricsAddUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWrites()
		r := reporter(Options{}, w, partly{})
		end := start(t, r)
		registry := prometheus.NewPedanticRegistry()
		calls := func() map[event.Result]int64 { return map[event.Result]int64{event.Created: 7} }
		registry.MustRegister(collector{r, calls})
		for name, want := range map[string]int{
			"telltale_injection_failures_total":      len(failure.Reasons()),
			"telltale_report_unreported_total":       2 * len(ledger.Causes()),
			"telltale_report_event_writes_total":     1, // all seven calls above have this result
			"telltale_report_pending":                2,
			"telltale_report_keys":                   2,
			"telltale_report_oldest_pending_seconds": 2,
			"telltale_report_reported_total":         2,
		} {
			if n, err := testutil.GatherAndCount(registry, name); n != want || err != nil {
				t.Errorf("%s: %d series, want %d: %v", name, n, want, err)
			}
		}

		r.Report(conflict("StatefulSet", "db"))
		r.Report(conflict("StatefulSet", "db"))
		r.Report(conflict("Forged", "x"))
		r.Report(failure.Failure{Reason: failure.Error})
		time.Sleep(time.Second)
		synctest.Wait()
		w.fail(errors.New("no route to host"))
		r.Report(conflict("StatefulSet", "db"))
		time.Sleep(7 * time.Second)
		want := `
			# HELP telltale_injection_failures_total Admissions in which an Injection was not applied as declared, by the pod's namespace and the reason.
			# TYPE telltale_injection_failures_total counter
			telltale_injection_failures_total{namespace="shop",reason="InjectionConflict"} 4
			telltale_injection_failures_total{namespace="other",reason="InjectionConflict"} 0
			telltale_injection_failures_total{namespace="other",reason="InjectionError"} 1
			telltale_injection_failures_total{namespace="other",reason="InjectionForbidden"} 0
			telltale_injection_failures_total{namespace="other",reason="InjectionRefused"} 0
			telltale_injection_failures_total{namespace="other",reason="InjectionInvalid"} 0
			telltale_injection_failures_total{namespace="other",reason="InjectionLost"} 0
			telltale_injection_failures_total{namespace="other",reason="InjectionMissed"} 0
			telltale_injection_failures_total{namespace="other",reason="InjectionOverload"} 0
			telltale_injection_failures_total{namespace="other",reason="InjectionStuck"} 0
			telltale_injection_failures_total{namespace="other",reason="InjectionTimeout"} 0
			telltale_injection_failures_total{namespace="other",reason="InjectionUnmet"} 0
			telltale_injection_failures_total{namespace="other",reason="InjectionUnsafe"} 0
			telltale_injection_failures_total{namespace="other",reason="InjectionsNotLoaded"} 0
			# HELP telltale_report_keys Keys (owner, reason, Injection) that are told apart now, those that owe nothing included.
			# TYPE telltale_report_keys gauge
			telltale_report_keys{sink="event"} 1
			telltale_report_keys{sink="otlp"} 1
			# HELP telltale_report_oldest_pending_seconds How long the first of the pending failures has been pending.
			# TYPE telltale_report_oldest_pending_seconds gauge
			telltale_report_oldest_pending_seconds{sink="event"} 7
			telltale_report_oldest_pending_seconds{sink="otlp"} 7
			# HELP telltale_report_pending Failures that the sink does not hold yet.
			# TYPE telltale_report_pending gauge
			telltale_report_pending{sink="event"} 1
			telltale_report_pending{sink="otlp"} 1
			# HELP telltale_report_reported_total Failures that the sink holds: on an event, or in log records that the backend took.
			# TYPE telltale_report_reported_total counter
			telltale_report_reported_total{sink="event"} 2
			telltale_report_reported_total{sink="otlp"} 1
			# HELP telltale_report_unreported_total Failures that the sink can never hold, by cause.
			# TYPE telltale_report_unreported_total counter
			telltale_report_unreported_total{cause="event_invalid",sink="event"} 0
			telltale_report_unreported_total{cause="namespace_gone",sink="event"} 0
			telltale_report_unreported_total{cause="no_owner",sink="event"} 1
			telltale_report_unreported_total{cause="owner_unconfirmed",sink="event"} 1
			telltale_report_unreported_total{cause="partial",sink="event"} 0
			telltale_report_unreported_total{cause="record_invalid",sink="event"} 0
			telltale_report_unreported_total{cause="event_invalid",sink="otlp"} 0
			telltale_report_unreported_total{cause="namespace_gone",sink="otlp"} 0
			telltale_report_unreported_total{cause="no_owner",sink="otlp"} 1
			telltale_report_unreported_total{cause="owner_unconfirmed",sink="otlp"} 1
			telltale_report_unreported_total{cause="partial",sink="otlp"} 1
			telltale_report_unreported_total{cause="record_invalid",sink="otlp"} 0
			# HELP telltale_report_event_writes_total Calls to the API server to write events, by result.
			# TYPE telltale_report_event_writes_total counter
			telltale_report_event_writes_total{result="created"} 7
		`
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
		w.fail(nil)
		end()
	})
}

// partly is a sink that refuses all but an entry's first failure.
type partly struct{}

func (partly) Write(_ context.Context, e ledger.Entry) (ledger.Receipt, error) {
	return ledger.Receipt{Stored: 1, Refused: e.Total - 1, Why: ledger.Partial}, nil
}

// TestNew: New makes no call. If an argument is wrong, its error says why.
func TestNew(t *testing.T) {
	t.Parallel()
	cfg := &rest.Config{Host: "https://127.0.0.1:1", QPS: 3}
	registry := prometheus.NewRegistry()
	r, err := New(cfg, Options{Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := testutil.GatherAndCount(registry, "telltale_report_event_writes_total"); n != len(event.Results()) || err != nil {
		t.Errorf("%d results: %v", n, err)
	}
	if cfg.Timeout != 0 || cfg.RateLimiter != nil {
		t.Error("the caller's config was changed")
	}
	if o := r.branches[0].o; o.QPS != 50 || o.MaxKeys != 10_000 {
		t.Errorf("defaults: %+v", o)
	}
	if _, err := New(cfg, Options{Registerer: registry}); err == nil {
		t.Error("no error, though the metrics are registered twice")
	}
	if _, err := New(&rest.Config{Host: "::"}, Options{}); err == nil {
		t.Error("no error, though the host is impossible")
	}
}

// TestNamespaceIsOneObject: folded failures, and failures of pods that were
// never created, are counted together.
func TestNamespaceIsOneObject(t *testing.T) {
	t.Parallel()
	owners, err := owner.New(&rest.Config{Host: "https://127.0.0.1:1"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pod := failure.Failure{Owner: failure.Ref{APIVersion: "v1", Kind: "Pod", Namespace: "shop"}}
	got, err := owners.Resolve(t.Context(), pod, 0)
	if want := ledger.Namespace("shop"); got != want || err != nil {
		t.Errorf("got %+v, want %+v: %v", got, want, err)
	}
}
