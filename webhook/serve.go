package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// Options are the optional parts of an Injector.
type Options struct {
	// MaxInFlight is how many reviews may have been read and not be answered
	// yet, whether they are worked on or wait for the CPU; one more is shed at
	// once, as InjectionOverload (TestBacklog). Default: 1000, which is half a
	// second's work for one core, if the pods are ordinary ones.
	MaxInFlight int
	// MaxBytes is how much of reviews' bodies is held at once; who comes when
	// there is no room waits. It bounds the memory of all work: to 106 MiB in
	// the process with the default and pods of 1.2 MB (TestOverload), and so
	// the wait, too. Default and minimum: 16 MiB; less would let one review in.
	MaxBytes int64
	// Registerer takes the metrics. Default: none are exported.
	Registerer prometheus.Registerer
	// Gone tells of the context of a request whether its caller has hung up, at
	// this moment. Default: nobody has but those whose context has ended, which
	// net/http notices some time later (TestHungUp).
	Gone func(context.Context) bool
	// Log takes what a developer of Telltale needs to see: the stacks of
	// panics, at most one a second. Default: none is written.
	Log logr.Logger
}

// defaultTimeout is how long the API server waits where its request does not
// say.
//
// Source: timeoutSeconds, k8s.io/api v0.37.2 admissionregistration/v1/types.go.
const defaultTimeout = 10 * time.Second

// maxTimeout is the longest an API server waits.
//
// Source: as above.
const maxTimeout = 30 * time.Second

// minBytes is Options.MaxBytes at least: room for two of the largest reviews.
const minBytes = 16 << 20

// Injector is the http.Handler that the API server calls.
type Injector struct {
	injections Matcher
	reporter   Reporter
	gone       func(context.Context) bool
	log        logr.Logger
	stacks     *rate.Limiter
	slots      chan struct{}
	room       *semaphore.Weighted // bytes
	requests   *prometheus.CounterVec
}

// New returns an Injector that applies what a Matcher finds and hands what
// failed to a Reporter.
func New(injections Matcher, reporter Reporter, o Options) *Injector {
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

	return &Injector{
		injections: injections,
		reporter:   reporter,
		gone:       o.Gone,
		log:        o.Log,
		stacks:     rate.NewLimiter(rate.Every(time.Second), 1),
		slots:      make(chan struct{}, o.MaxInFlight),
		room:       semaphore.NewWeighted(o.MaxBytes),
		requests:   newRequests(o.Registerer),
	}
}

// ServeHTTP answers one request of the API server, whatever happens on the way.
// Failures are reported when the answer is out, for only then is it known
// whether anybody waited for it.
func (in *Injector) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	p := patience(req)
	start := time.Now()

	ctx, cancel := context.WithDeadline(req.Context(), start.Add(p))
	defer cancel()

	if req.Method != http.MethodPost {
		http.Error(w, "send an AdmissionReview by POST", http.StatusMethodNotAllowed)

		return
	}

	size := sizeOf(req)
	if !in.room.TryAcquire(size) && in.room.Acquire(ctx, size) != nil {
		in.unread(w, failure.Overload, errOverload)

		return
	}
	defer in.room.Release(size)

	setDeadlines(w, start, p)

	raw, err := readBody(w, req)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		in.unread(w, failure.Timeout, errLate)

		return
	}

	if err != nil {
		in.malformed(w, err)

		return
	}

	r, a, err := in.handle(ctx, raw, start.Add(p/2))
	if err != nil {
		in.malformed(w, err)

		return
	}

	in.settle(r, in.respond(ctx, w, r, a))
}

// settle counts what became of a review, and reports what failed.
func (in *Injector) settle(r *Review, a Answer) {
	in.requests.WithLabelValues(string(a.Outcome)).Inc()

	if !r.DryRun {
		for _, f := range a.Failures {
			in.reporter.Report(f)
		}
	}
}

// handle is Handle with what must surround it: a bound on how many run at once;
// a brief answer beyond it, and where it is too late to begin; and the recovery
// from our own bugs. (The recovery of controller-runtime answers allowed: false,
// which refuses the pod under failurePolicy: Ignore, too.)
func (in *Injector) handle(ctx context.Context, raw []byte, begin time.Time) (r *Review, a Answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			in.logPanic(p, r)

			if r == nil {
				err = errPanic

				return
			}

			a = failOpen(r, nil, failure.Error, errPanic)
		}
	}()

	room := in.takeSlot()
	if room {
		defer in.leaveSlot()
	}

	if r, err = decodeReview(raw); err != nil {
		return nil, Answer{}, err
	}

	switch {
	case ctx.Err() != nil: // whether it still waits is looked at once, in respond
		return r, in.brief(r, failure.Timeout, errLate), nil
	case !room || time.Now().After(begin):
		return r, in.brief(r, failure.Overload, errOverload), nil
	default:
		return r, in.Handle(ctx, r), nil
	}
}

// takeSlot counts a review as in flight, unless there are too many. One that is
// counted then lets everybody pass who has come meanwhile, up to here. Without
// that no more than GOMAXPROCS would ever be counted: nothing on the way blocks,
// so that the goroutines of all others wait where nobody can see them.
//
// A review is counted once its body is read, and not before: what is bounded is
// work, and until then there is none. A slot taken earlier could be held by
// whoever sends nothing; there, Options.MaxBytes and a deadline are the bounds.
func (in *Injector) takeSlot() bool {
	select {
	case in.slots <- struct{}{}:
		runtime.Gosched()

		return true
	default:
		return false
	}
}

func (in *Injector) leaveSlot() { <-in.slots }

var (
	errPanic       = errors.New("panic while answering the review")
	errUnencodable = errors.New("cannot encode the answer to the review")
)

func (in *Injector) logPanic(p any, r *Review) {
	if !in.stacks.Allow() {
		return
	}

	namespace := ""
	if r != nil {
		namespace = r.Namespace
	}

	in.log.Error(fmt.Errorf("panic: %v", p), "Telltale has a bug; the pod starts without its Injections",
		"namespace", namespace, "stack", string(debug.Stack()))
}

// respond writes the answer, and returns it. If the API server waits no more, it
// writes one that claims nothing, for its clock may be behind ours, and then the
// pod carries the record. It looks for the caller last of all, when there is
// nothing left to do but write. An answer that cannot be encoded is a bug of
// ours; the pod starts, as after any call that fails.
func (in *Injector) respond(ctx context.Context, w http.ResponseWriter, r *Review, a Answer) Answer {
	body, err := a.encode(r.UID)
	if in.late(ctx) {
		a = a.late(r)
		body, err = a.encode(r.UID)
	}

	if err != nil {
		http.Error(w, errUnencodable.Error(), http.StatusInternalServerError)

		return failOpen(r, a.matches, failure.Error, errUnencodable)
	}

	w.Header().Set("Content-Type", "application/json")

	if _, err := w.Write(body); err != nil {
		a = a.late(r)
	}

	return a
}

// late tells whether nobody waits for an answer any more. The clock is asked,
// too: after a stall, the timer that ends ctx may not have had its turn.
func (in *Injector) late(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()

	return ctx.Err() != nil || ok && !time.Now().Before(deadline) || in.gone(ctx)
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

	timeout = min(timeout, maxTimeout)

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
