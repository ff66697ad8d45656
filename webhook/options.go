package webhook

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/telltale-dev/telltale/patches"
)

// Options are the optional parts of an Injector.
type Options struct {
	// MaxInFlight limits the reviews that were read and are not answered yet,
	// whether they are being worked on or wait for the CPU. One more is shed at
	// once, as InjectionOverload (TestBacklog). Default: 1000, which is half a
	// second's work of one core if the pods are ordinary ones.
	MaxInFlight int
	// MaxBytes limits the bytes of request bodies in memory, as they arrive;
	// further ones wait, and bodies that arrive slowly are cut. It limits the
	// memory of all work, and so the wait, too: with the default and pods of 1.2
	// MB, the process takes 96 MiB (docs/stress.md). Default and minimum: 16 MiB;
	// less would let only one review in.
	MaxBytes int64
	// Patience is how long the API server waits for an answer: timeoutSeconds of
	// the registration. It is not taken from the request, whose sender may be
	// anyone (TestStrangers). Default: 5 s.
	Patience time.Duration
	// Registerer takes the metrics. Default: none are exported.
	Registerer prometheus.Registerer
	// Gone tells whether the caller of the request with this context has hung
	// up. Default: the caller is there until the context ends. net/http ends it
	// some time after the caller hangs up (TestHungUp).
	Gone func(context.Context) bool
	// Selectors are asked about the controllers of pods that an Injection adds
	// labels to. Default: none is known.
	Selectors Selectors
	// Canary returns the Injections of the canary pod, where a namespace is the
	// canary's. A dry run there gets these and no others, so that it has a record
	// whatever users declare. No pod that exists comes from a dry run. Default:
	// there is no canary.
	Canary func(namespace string) []patches.Match
	// Previews returns the Injections with mode: Preview that select a pod with these
	// traits in a namespace. They are judged, and change nothing but the record.
	// Default: there are none.
	Previews func(pod patches.Traits, namespace string) []patches.Match
	// Await returns nil if a pod with these traits lacks nothing that it requires, or
	// nothing that may be about to come. Else it returns a channel that is closed when it
	// is worth asking again. Default: no review waits.
	Await func(pod patches.Traits, namespace string) <-chan struct{}
	// Log takes the lines that a developer of Telltale needs: bugs with their
	// stacks, at most one a second. Default: none is written.
	Log logr.Logger
}

func (o Options) withDefaults() Options {
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 1000
	}

	o.MaxBytes = max(o.MaxBytes, minBytes)

	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}

	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}

	if o.Gone == nil {
		o.Gone = func(context.Context) bool { return false }
	}

	if o.Selectors == nil {
		o.Selectors = noSelectors{}
	}

	if o.Canary == nil {
		o.Canary = func(string) []patches.Match { return nil }
	}

	if o.Previews == nil {
		o.Previews = func(patches.Traits, string) []patches.Match { return nil }
	}

	if o.Await == nil {
		o.Await = func(patches.Traits, string) <-chan struct{} { return nil }
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
	selectors  Selectors
	canary     func(namespace string) []patches.Match
	previews   func(pod patches.Traits, namespace string) []patches.Match
	gone       func(context.Context) bool
	log        logr.Logger
	stacks     *rate.Limiter
	slots      *semaphore.Weighted // one for each review in flight
	room       *room               // for their bodies
	births     births
	patience   time.Duration
	metrics    metrics
}

// New returns an Injector that applies the Injections that a Matcher finds, and
// hands failures to a Reporter.
func New(injections Matcher, reporter Reporter, o Options) *Injector {
	o = o.withDefaults()

	return &Injector{
		injections: injections,
		reporter:   reporter,
		selectors:  o.Selectors,
		canary:     o.Canary,
		previews:   o.Previews,
		gone:       o.Gone,
		log:        o.Log,
		stacks:     rate.NewLimiter(rate.Every(time.Second), 1),
		slots:      semaphore.NewWeighted(int64(o.MaxInFlight)),
		room:       newRoom(o.MaxBytes),
		births:     newBirths(o),
		patience:   o.Patience,
		metrics:    newMetrics(o.Registerer),
	}
}
