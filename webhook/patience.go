package webhook

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// defaultPatience is how long the API server waits. A caller says for how long
// it does, too, but a stranger would always wait for the longest time.
//
// Source: timeoutSeconds in config/webhook/manifests.yaml (TestPatience).
const defaultPatience = 5 * time.Second

// errTimeout tells why an answer had no effect.
var errTimeout = errors.New("the API server stopped waiting before the answer was ready")

// deadlines divide the patience among the steps of one review.
type deadlines struct {
	came   time.Time // when the review did
	birth  time.Time // later, no review waits for what its pod requires
	begin  time.Time // later, the review is shed, because others wait, too
	decide time.Time // later, the Injections that are left fail as InjectionTimeout
	answer time.Time // later, the API server no longer waits
	write  time.Time // later, a slow reader is cut off
}

// deadlinesFrom returns the deadlines of a review that has just come. The way
// there and back takes a tenth of the patience.
func deadlinesFrom(start time.Time, patience time.Duration) deadlines {
	p := patience - patience/10

	return deadlines{came: start, birth: start.Add(min(birthPatience, p/4)), begin: start.Add(p / 2), decide: start.Add(p - p/4), answer: start.Add(p), write: start.Add(2 * p)}
}

// set stops slow clients from keeping memory that others wait for. net/http
// lifts both deadlines after each request.
func (d deadlines) set(w http.ResponseWriter) {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(d.answer) // an error: the writer has no deadlines
	_ = c.SetWriteDeadline(d.write) // and is a test's
}

// awaited tells whether the API server still waits for an answer. It asks the
// clock, too: after a stall, the timer that ends ctx may not have run yet.
func (in *Injector) awaited(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()

	return ctx.Err() == nil && (!ok || time.Now().Before(deadline)) && !in.gone(ctx)
}

// hasHungUp tells whether the API server has hung up. It does so when it stops waiting,
// mostly a tenth of the patience after the last deadline.
func (in *Injector) hasHungUp(ctx context.Context) bool {
	return errors.Is(ctx.Err(), context.Canceled) || in.gone(ctx)
}
