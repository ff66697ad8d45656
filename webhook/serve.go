package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// Options are the optional parts of an Injector.
type Options struct {
	// MaxInFlight is how many reviews are worked on at once; one more is shed
	// at once, as InjectionOverload. Default: 1000.
	MaxInFlight int
	// Registerer takes the metrics. Default: none are exported.
	Registerer prometheus.Registerer
	// Log takes what a developer of Telltale needs to see: the stacks of
	// panics, at most one a second. Default: none is written.
	Log logr.Logger
}

// defaultTimeout is how long the API server waits where its request does not
// say.
//
// Source: timeoutSeconds, k8s.io/api v0.37.2 admissionregistration/v1/types.go.
const defaultTimeout = 10 * time.Second

// Injector is the http.Handler that the API server calls.
type Injector struct {
	injections Matcher
	reporter   Reporter
	log        logr.Logger
	stacks     *rate.Limiter
	slots      chan struct{}
	requests   *prometheus.CounterVec
}

// New returns an Injector that applies what a Matcher finds and hands what
// failed to a Reporter.
func New(injections Matcher, reporter Reporter, o Options) *Injector {
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 1000
	}

	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}

	if o.Log.GetSink() == nil {
		o.Log = logr.Discard()
	}

	return &Injector{
		injections: injections,
		reporter:   reporter,
		log:        o.Log,
		stacks:     rate.NewLimiter(rate.Every(time.Second), 1),
		slots:      make(chan struct{}, o.MaxInFlight),
		requests:   newRequests(o.Registerer),
	}
}

// ServeHTTP answers one request of the API server, whatever happens on the way.
// Failures are reported when the answer is out, for only then is it known
// whether anybody waited for it.
func (in *Injector) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	ctx, cancel := context.WithTimeout(req.Context(), patience(req))
	defer cancel()

	if req.Method != http.MethodPost {
		http.Error(w, "send an AdmissionReview by POST", http.StatusMethodNotAllowed)

		return
	}

	r, err := readReview(w, req)
	if err != nil {
		in.malformed(w, err)

		return
	}

	a := in.handle(r)
	if err := respond(ctx, w, r, a); err != nil {
		a = a.late(r)
	}

	in.requests.WithLabelValues(string(a.Outcome)).Inc()

	if !r.DryRun {
		for _, f := range a.Failures {
			in.reporter.Report(f)
		}
	}
}

// handle is Handle with what must surround it: a bound on how many run at once,
// and the recovery from our own bugs. (The recovery of controller-runtime
// answers allowed: false, which refuses the pod under failurePolicy: Ignore,
// too.)
func (in *Injector) handle(r *Review) (a Answer) {
	select {
	case in.slots <- struct{}{}:
		defer func() { <-in.slots }()
	default:
		return failOpen(r, nil, failure.Overload, errors.New("too many admissions in flight"))
	}

	defer func() {
		if p := recover(); p != nil {
			if in.stacks.Allow() {
				in.log.Error(fmt.Errorf("panic: %v", p), "Telltale has a bug; the pod starts without its Injections",
					"namespace", r.Namespace, "stack", string(debug.Stack()))
			}

			a = failOpen(r, nil, failure.Error, errors.New("panic while answering the review"))
		}
	}()

	return in.Handle(r)
}

// respond writes the answer, unless nobody waits for it any more.
func respond(ctx context.Context, w http.ResponseWriter, r *Review, a Answer) error {
	body, err := a.encode(r.UID)
	if err != nil {
		return fmt.Errorf("cannot encode the answer: %w", err)
	}

	if ctx.Err() != nil {
		return errLate
	}

	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(body)

	return err
}

// malformed answers what is no review. The API server takes any status but 200
// for a call that failed, and under failurePolicy: Ignore the pod starts.
func (in *Injector) malformed(w http.ResponseWriter, err error) {
	in.requests.WithLabelValues(string(Malformed)).Inc()
	in.reporter.Report(failure.Failure{Reason: failure.Error, Text: advice(failure.Error, err)})
	http.Error(w, err.Error(), http.StatusBadRequest)
}

// patience is how long the API server waits for an answer, less a tenth for the
// way there and back.
func patience(req *http.Request) time.Duration {
	timeout, err := time.ParseDuration(req.URL.Query().Get("timeout"))
	if err != nil || timeout <= 0 {
		timeout = defaultTimeout
	}

	return timeout - timeout/10
}

func newRequests(r prometheus.Registerer) *prometheus.CounterVec {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "telltale_admission_requests_total",
		Help: "Reviews answered, dry runs included, by what became of the pod.",
	}, []string{"outcome"})
	r.MustRegister(requests)

	for _, o := range []Outcome{Untouched, Injected, Failed, Denied, Malformed} {
		requests.WithLabelValues(string(o))
	}

	return requests
}
