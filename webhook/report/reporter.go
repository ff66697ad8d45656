// Package report shows failures to those who can fix them: as Warning events
// on the Deployment, or whatever else, owns the pod.
//
//	r, err := report.New(cfg, report.Options{Log: log, Registerer: registry})
//	go r.Run(ctx)
//	r.Report(failure.Failure{...})
//
// A failure is counted in memory and shown by Run, within a second the first
// time and every ten seconds thereafter, with a number of API calls that
// depends on how many owners have failures, not on how many failures there
// are. What can't be shown now is kept and tried again for as long as it
// takes; what can never be shown is counted as unreported. At every moment,
//
//	failures = reported + pending + unreported
//
// and each of these is a metric (TestMetricsAddUp). Failures are lost only with
// the process: when it is killed, or when the API server is away while it ends.
//
// The parts, in the order that a failure passes them, are internal/ledger
// (what is owed), internal/owner (on what to report it) and internal/event
// (how it is written).
package report

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/event"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
	"github.com/telltale-dev/telltale/webhook/report/internal/owner"
)

// callTimeout is how long one call to the API server may take.
const callTimeout = 10 * time.Second

// Options of a Reporter. The zero value works.
type Options struct {
	// Log gets a line for what failed: at most one a failure, and ten a second.
	// Default: none.
	Log logr.Logger
	// Registerer is where the metrics are registered. Default: nowhere.
	Registerer prometheus.Registerer
	// QPS is the number of calls to the API server a second, reads of owners
	// and writes of events together. The last calls, within Grace, are not
	// bounded by it. Default: 50.
	QPS float32
	// Burst is how many calls may be made at once after a quiet time.
	// Default: 100.
	Burst int
	// Workers is the number of calls at the same time, so that a stuck one does
	// not hold up the others. Default: 8.
	Workers int
	// MaxKeys bounds the memory: the number of owners, times reasons, times
	// Injections, that have no event yet, and as many again that have one.
	// Beyond it, failures are shown on their namespace, and beyond that on
	// HomeNamespace. Default: 10,000.
	MaxKeys int
	// First is the time within which the first failure of a key is shown, if
	// the API server answers; half of it is spent waiting for others like it.
	// Default: 1 s.
	First time.Duration
	// Every is the least time between two writes for a key. Default: 10 s.
	Every time.Duration
	// Grace is how long Run goes on after its context has ended, to show what
	// is pending. Default: 10 s.
	Grace time.Duration
	// HomeNamespace is where failures are shown that can be shown nowhere else.
	// Default: "telltale-system".
	HomeNamespace string
}

func (o Options) withDefaults() Options {
	o.QPS = orDefault(o.QPS, 50)
	o.Burst = orDefault(o.Burst, 100)
	o.Workers = orDefault(o.Workers, 8)
	o.MaxKeys = orDefault(o.MaxKeys, 10_000)
	o.First = orDefault(o.First, time.Second)
	o.Every = orDefault(o.Every, 10*time.Second)
	o.Grace = orDefault(o.Grace, 10*time.Second)
	o.HomeNamespace = orDefault(o.HomeNamespace, "telltale-system")

	return o
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}

	return v
}

// Reporter shows failures as events. It is safe for concurrent use.
type Reporter struct {
	o       Options
	resolve func(context.Context, failure.Failure, time.Duration) (failure.Ref, error)
	write   func(context.Context, ledger.Entry) (ledger.Receipt, error)
	calls   func() map[event.Result]int64
	budget  *budget

	mu     sync.Mutex
	ledger *ledger.Ledger
	wake   chan struct{} // the schedule has changed

	lines     *rate.Limiter
	leftOut   atomic.Int64
	lost      *cache.LRUExpireCache // lost → nil
	forbidden rate.Sometimes
	failing   rate.Sometimes
}

// New makes a Reporter that calls the API server as cfg says, within a budget
// of calls of its own. It makes no call yet.
func New(cfg *rest.Config, o Options) (*Reporter, error) {
	r := newReporter(o)

	cfg = rest.CopyConfig(cfg)
	cfg.RateLimiter = r.budget // one for all clients
	cfg.Timeout = callTimeout
	owners, err := owner.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot report failures: %w", err)
	}
	events, err := event.NewWriter(cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot report failures: %w", err)
	}
	r.resolve, r.write, r.calls = owners.Resolve, events.Write, events.Calls

	if o.Registerer != nil {
		if err := o.Registerer.Register(collector{r}); err != nil {
			return nil, fmt.Errorf("cannot register the metrics of reported failures: %w", err)
		}
	}

	return r, nil
}

func newReporter(o Options) *Reporter {
	o = o.withDefaults()

	return &Reporter{
		o:      o,
		budget: newBudget(o),
		wake:   make(chan struct{}, 1),
		ledger: ledger.New(ledger.Options{
			MaxKeys: o.MaxKeys, First: o.First / 2, Every: o.Every, Home: o.HomeNamespace, Random: rand.Float64,
		}),
		lines:     rate.NewLimiter(linesPerSecond, linesAtOnce),
		lost:      cache.NewLRUExpireCache(lostKept),
		forbidden: rate.Sometimes{First: 1, Interval: loudEvery},
		failing:   rate.Sometimes{First: 1, Interval: loudEvery},
	}
}

// Report counts a failure, to be shown. It never waits for anything: a map
// entry under a short lock, and no allocation where the key is known
// (BenchmarkReport). It keeps the failure's strings: they must not be parts of
// larger ones.
func (r *Reporter) Report(f failure.Failure) {
	now := time.Now()
	r.mu.Lock()
	scheduled := r.ledger.Add(f, now)
	r.mu.Unlock()
	if scheduled {
		r.rouse()
	}
}

// rouse has Run look at the schedule again.
func (r *Reporter) rouse() {
	select {
	case r.wake <- struct{}{}:
	default: // it is about to, anyway
	}
}
