package webhook

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"
)

// Options are the optional parts of an Injector.
type Options struct {
	// MaxInFlight limits the reviews that were read and are not answered yet,
	// whether they are worked on or wait for the CPU; one more is shed at once,
	// as InjectionOverload (TestBacklog). Default: 1000, which is half a
	// second's work for one core, if the pods are ordinary ones.
	MaxInFlight int
	// MaxBytes limits the bytes of request bodies in memory; further requests
	// wait. It bounds the memory of all work: to 106 MiB in the process with the
	// default and pods of 1.2 MB (TestOverload), and so the wait, too. Default
	// and minimum: 16 MiB; less would let one review in.
	MaxBytes int64
	// Registerer takes the metrics. Default: none are exported.
	Registerer prometheus.Registerer
	// Gone tells whether the caller of the request with this context has hung
	// up. Default: a caller is there until its context ends, and net/http ends
	// it some time after the caller hangs up (TestHungUp).
	Gone func(context.Context) bool
	// Log takes what a developer of Telltale needs to see: bugs with their
	// stacks, at most one a second. Default: none is written.
	Log logr.Logger
}

func (o Options) withDefaults() Options {
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 1000
	}

	o.MaxBytes = max(o.MaxBytes, minBytes)

	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}

	if o.Gone == nil {
		o.Gone = func(context.Context) bool { return false }
	}

	if o.Log.GetSink() == nil {
		o.Log = logr.Discard()
	}

	return o
}

// Injector is the http.Handler that the API server calls.
type Injector struct {
	injections Matcher
	reporter   Reporter
	gone       func(context.Context) bool
	log        logr.Logger
	stacks     *rate.Limiter
	slots      *semaphore.Weighted // of reviews in flight
	bytes      *semaphore.Weighted // of their bodies
	requests   *prometheus.CounterVec
}

// New returns an Injector that applies what a Matcher finds and hands what
// failed to a Reporter.
func New(injections Matcher, reporter Reporter, o Options) *Injector {
	o = o.withDefaults()

	return &Injector{
		injections: injections,
		reporter:   reporter,
		gone:       o.Gone,
		log:        o.Log,
		stacks:     rate.NewLimiter(rate.Every(time.Second), 1),
		slots:      semaphore.NewWeighted(int64(o.MaxInFlight)),
		bytes:      semaphore.NewWeighted(o.MaxBytes),
		requests:   newRequests(o.Registerer),
	}
}
