// Package report shows failures to the people that can fix them: as Warning
// events on the Deployment, or on whatever object owns the pod.
//
//	r, err := report.New(cfg, report.Options{Log: log, Registerer: registry})
//	go r.Run(ctx)
//	r.Report(failure.Failure{...})
//
// Report counts a failure in memory, and Run shows it: the first time within a
// second, then every ten seconds. The number of API calls depends on how many
// owners have failures, not on how many failures there are. Failures that can't
// be shown now are kept, and tried again for as long as it takes. Failures that
// can never be shown are counted as unreported. At every moment, for each sink,
//
//	failures = reported + pending + unreported
//
// and each of these is a metric (TestMetricsAddUp). Failures are lost only with
// the process: when it is killed, or when the API server is away while it ends.
//
// A failure passes these parts, in this order: internal/ledger (the failures
// that are owed), internal/owner (the object to report on) and a sink:
// internal/event (the event) or internal/otlp (a log record). Each sink has its own
// ledger, workers and budget of calls; the found owners are shared.
package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/event"
	"github.com/telltale-dev/telltale/webhook/report/internal/otlp"
	"github.com/telltale-dev/telltale/webhook/report/internal/owner"
)

// recordWorkers is how many records are in flight at the same time. They share
// requests, so they may be many.
const recordWorkers = 64

// callTimeout is how long one call to the API server may take.
const callTimeout = 10 * time.Second

// Options of a Reporter. The zero value works.
type Options struct {
	// Log gets lines about failures: at most one a failure, and ten a second.
	// Default: none.
	Log logr.Logger
	// Registerer is where the metrics are registered. Default: nowhere.
	Registerer prometheus.Registerer
	// MaxNamespaces is how many namespaces have a label of their own in the metric of
	// failures, the first that fail; all others share the label "other". Default: 1,000.
	MaxNamespaces int
	// Exists tells whether there is a namespace, as far as is known; it must not wait.
	// The metric of failures has no label for one that does not exist. Default: all
	// exist.
	Exists func(namespace string) bool
	// Records says what the log records of failures tell about this process. They are
	// sent by OTLP if the environment names an endpoint (OTEL_EXPORTER_OTLP_ENDPOINT or
	// OTEL_EXPORTER_OTLP_LOGS_ENDPOINT).
	Records Records
	// QPS is the number of calls to the API server a second, for reads of owners
	// and writes of events together; for log records, as many may read owners. It does
	// not limit the last calls, within Grace. Default: 50.
	QPS float32
	// Burst is how many calls may be made at once after a quiet time. Default:
	// 100.
	Burst int
	// Workers is the number of calls at the same time to write events, so that a stuck
	// call does not hold up the others. Default: 8.
	Workers int
	// MaxKeys limits the memory, for each sink: a key is an owner, a reason and an
	// Injection.
	// There may be this many keys that have no event yet, and as many again that
	// have one. Beyond it, failures are shown on their namespace, and beyond
	// that on HomeNamespace. Default: 10,000.
	MaxKeys int
	// First is the time within which the first failure of a key is shown, if the
	// API server answers. Half of it is spent waiting for more failures of the
	// key. Default: 1 s.
	First time.Duration
	// Every is the least time between two writes for a key. Default: 10 s.
	Every time.Duration
	// Follow is how long an owner that was found is used without another look-up.
	// A ReplicaSet may be orphaned, and adopted by another Deployment: after this
	// time at most, its failures are shown there. Default: 1 h.
	Follow time.Duration
	// Grace is how long Run goes on after its context has ended, to show the
	// pending failures. Default: 10 s.
	Grace time.Duration
	// HomeNamespace is the namespace to show failures on that can be shown
	// nowhere else. Default: "telltale-system".
	HomeNamespace string
}

// Records describes the process that sends log records.
type Records struct {
	// Version is Telltale's own.
	Version string
	// Instance tells this process from other replicas. Default: a random name.
	Instance string
	// Cluster is the name of the cluster. Default: OTEL_RESOURCE_ATTRIBUTES may have
	// it.
	Cluster string
}

func (o Options) withDefaults() Options {
	o.QPS = cmp.Or(o.QPS, 50)
	o.Burst = cmp.Or(o.Burst, 100)
	o.Workers = cmp.Or(o.Workers, 8)
	o.MaxKeys = cmp.Or(o.MaxKeys, 10_000)
	o.First = cmp.Or(o.First, time.Second)
	o.Every = cmp.Or(o.Every, 10*time.Second)
	o.Follow = cmp.Or(o.Follow, time.Hour)
	o.Grace = cmp.Or(o.Grace, 10*time.Second)
	o.HomeNamespace = cmp.Or(o.HomeNamespace, "telltale-system")
	o.MaxNamespaces = cmp.Or(o.MaxNamespaces, 1000)
	if o.Exists == nil {
		o.Exists = func(string) bool { return true }
	}

	return o
}

// Reporter shows failures in every sink. It is safe for concurrent use.
type Reporter struct {
	budgets  []*budget
	branches []*branch // one for each sink
	notes    *branch   // nil: notes have their events only
	tally    *tally    // guarded by the locks of all branches
	delays   *prometheus.HistogramVec
}

// New makes a Reporter that calls the API server as cfg says, within its own
// budget of calls. New itself makes no call. If the environment is wrong, the error
// names the variable.
func New(cfg *rest.Config, o Options) (*Reporter, error) {
	o = o.withDefaults()
	budget := newBudget(o)

	cfg = rest.CopyConfig(cfg)
	cfg.RateLimiter = budget // one for all clients
	cfg.Timeout = callTimeout
	owners, err := owner.New(cfg, min(o.Follow/2, time.Minute))
	if err != nil {
		return nil, fmt.Errorf("cannot report failures: %w", err)
	}
	events, err := event.NewWriter(cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot report failures: %w", err)
	}
	r := newReporter(o, budget, owners.Resolve, events)

	if otlp.Wanted() {
		if err := r.addRecords(cfg, o, owners); err != nil {
			return nil, fmt.Errorf("cannot report failures: %w", err)
		}
	}

	if o.Registerer != nil {
		if err := errors.Join(o.Registerer.Register(collector{r, events.Calls}), o.Registerer.Register(r.delays)); err != nil {
			return nil, fmt.Errorf("cannot register the metrics of reported failures: %w", err)
		}
	}

	return r, nil
}

func newReporter(o Options, b *budget, resolve resolve, events sink) *Reporter {
	r := &Reporter{tally: newTally(o), delays: newDelays()}
	r.add(b, o, toEvents, resolve, events)

	return r
}

// addRecords adds the sink of log records. It finds owners within a budget of its
// own, so that it takes no call from the events.
func (r *Reporter) addRecords(cfg *rest.Config, o Options, owners *owner.Resolver) error {
	b := newBudget(o)
	cfg = rest.CopyConfig(cfg)
	cfg.RateLimiter = b
	owners, err := owners.Within(cfg)
	if err != nil {
		return err
	}
	records, err := otlp.NewWriter(otlp.Options{
		Log: o.Log, Version: o.Records.Version, Instance: o.Records.Instance, Cluster: o.Records.Cluster,
		ClusterUID: owners.Cluster, Text: event.Message,
	})
	if err != nil {
		return err
	}
	r.addRecordsTo(b, o, owners.Resolve, records)

	return nil
}

// addRecordsTo adds a sink of log records, for failures and for notes. The owner of a
// note is known.
func (r *Reporter) addRecordsTo(b *budget, o Options, resolve resolve, records sink) {
	o.Workers = recordWorkers
	r.add(b, o, toRecords, resolve, records)
	r.notes = newBranch(o, toNotes, func(_ context.Context, f failure.Failure, _ time.Duration) (failure.Ref, error) {
		return f.Owner, nil
	}, records)
}

// add adds a sink.
func (r *Reporter) add(b *budget, o Options, name string, resolve resolve, s sink) {
	added := newBranch(o, name, resolve, s)
	added.delay = r.delays.WithLabelValues(name)
	r.budgets = append(r.budgets, b)
	r.branches = append(r.branches, added)
}

// Report counts a failure, to be shown. It never waits: for each sink it
// changes a map entry under a short lock, and allocates nothing if the key is
// known (BenchmarkReport). It keeps the failure's strings: they must not be
// parts of larger ones.
func (r *Reporter) Report(f failure.Failure) {
	now := time.Now()
	r.lock()
	defer r.unlock()
	r.tally.add(f.Owner.Namespace, f.Reason)
	for _, b := range r.branches {
		if b.ledger.Add(f, now) {
			b.rouse()
		}
	}
}

// Tell makes a note known that has an event: as a log record, if these are sent. It is
// kept and sent as failures are, and counts nowhere as one (TestNotes). Its Once names
// the event and how often it has happened. It never waits.
func (r *Reporter) Tell(note failure.Failure) {
	if r.notes == nil {
		return
	}
	r.notes.locked(func() { r.notes.ledger.Add(note, time.Now()) })
	r.notes.rouse()
}

// lock locks the ledgers of all branches, and the tally. So they have the same
// failures at every moment.
func (r *Reporter) lock() {
	for _, b := range r.branches {
		b.mu.Lock()
	}
}

func (r *Reporter) unlock() {
	for _, b := range r.branches {
		b.mu.Unlock()
	}
}

// Owed returns the namespaces with failures of some reasons that are still to be shown as
// events; "" is for those that can be of any. Another sink that is away holds nobody up.
func (r *Reporter) Owed(reasons ...failure.Reason) (owed map[string]bool) {
	events := r.branches[0]
	events.locked(func() { owed = events.ledger.Owed(reasons...) })

	return owed
}

// Run shows failures until ctx ends. Then it shows the pending ones for at most
// Options.Grace, logs those that are left, and returns nil. Call it once. It
// must run for as long as Report may be called.
func (r *Reporter) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() {
		for _, b := range r.budgets {
			b.lifted.Store(true)
		}
	})()

	var running sync.WaitGroup
	for _, b := range append(slices.Clip(r.branches), r.notes) {
		if b != nil {
			running.Go(func() { b.run(ctx) })
		}
	}
	running.Wait()

	return nil
}
