package webhook

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// ServeHTTP answers one request of the API server, whatever happens on the way:
//
//	read → decide (→ births) → Handle → respond → account
//
// Failures are reported after the answer is sent: only then is it known whether
// the API server still waited for it.
func (in *Injector) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		http.Error(w, "send an AdmissionReview by POST", http.StatusMethodNotAllowed)

		return
	}

	d := deadlinesFrom(time.Now(), in.patience)
	d.set(w)

	ctx, cancel := context.WithDeadline(req.Context(), d.answer)
	defer cancel()

	body := in.room.enter(w)
	defer body.leave()

	raw, err := body.read(ctx, req)
	if err != nil {
		discardRest(w, req, err, d)
		in.giveUp(w, err, d)

		return
	}

	r, a, err := in.decide(ctx, raw, d)
	if err != nil {
		in.giveUp(w, err, d)

		return
	}

	in.account(in.respond(ctx, answerWriter{w, body}, r, a), r.DryRun, d)
}

// decide gets a review answered: by Handle if there is a slot and time for it,
// otherwise by brief. An error means that there is no review to answer. A panic
// is our bug, and no pod is refused for it. (The recovery of controller-runtime
// answers allowed: false, which refuses the pod even under failurePolicy:
// Ignore.)
func (in *Injector) decide(ctx context.Context, raw []byte, d deadlines) (r *Review, a Answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			a, err = in.survive(p, r)
		}
	}()

	slot := in.takeSlot()
	defer func() {
		if slot {
			in.slots.Release(1)
		}
	}()

	if r, err = decodeReview(raw); err != nil {
		return nil, Answer{}, err
	}

	if slot {
		if changed := in.births.enter(r); changed != nil {
			in.slots.Release(1)

			slot = false
			in.births.wait(ctx, r, changed, d.birth)
			slot = in.takeSlot()
		}
	}

	switch {
	case ctx.Err() != nil: // respond asks once whether the caller has hung up
		return r, in.brief(r, failure.Timeout, errTimeout), nil
	case !slot || time.Now().After(d.begin):
		return r, in.brief(r, failure.Overload, errOverload), nil
	default:
		return r, in.Handle(ctx, r, d.decide), nil
	}
}

// Handle answers one review in the order things happen. It refuses a pod only
// if an Injection asks for it. Everything else that goes wrong is a failure,
// and the pod starts without the Injection that failed: for those that are not
// decided by the deadline as InjectionTimeout.
func (in *Injector) Handle(ctx context.Context, r *Review, deadline time.Time) Answer {
	if r.err != nil {
		return failOpen(r, nil, failure.Error, r.err)
	}

	matches, err := in.match(r)
	if err != nil && len(matches) == 0 {
		return failOpen(r, nil, failure.NotLoaded, err)
	}

	previews := in.previews(r.Pod.Traits(), r.Namespace)
	if len(matches)+len(previews) == 0 {
		return Answer{Outcome: Untouched}
	}

	in.askSelector(r, matches)
	in.askSelector(r, previews)

	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()

	if err != nil {
		r.Pod.Doubt = string(failure.NotLoaded)
	}

	a := answer(r, matches, patches.New(ctx, r.Pod, matches, previews...))
	if err != nil {
		a.doubt(r, err)
	}

	return a
}

// askSelector finds out which labels the pod's controller excludes, where an
// Injection adds some and where it is known.
func (in *Injector) askSelector(r *Review, matches []patches.Match) {
	if r.Pod.Controller == nil {
		return
	}

	for i := range matches {
		if matches[i].HasLabels() {
			r.Pod.Excluding = in.selectors.Excluding(r.owner())

			return
		}
	}
}

// match returns the Injections that are to be applied to a pod. A mirror pod gets
// none: its containers run already. The canary gets its own; if Telltale does not
// know the users' Injections, the canary's record says so.
func (in *Injector) match(r *Review) ([]patches.Match, error) {
	if r.Pod.IsMirror() {
		return nil, nil
	}

	matches, err := in.injections.Match(r.Pod.Traits(), r.Namespace)
	if r.DryRun {
		if canary := in.canary(r.Namespace); len(canary) > 0 {
			return canary, err
		}
	}

	return matches, err
}

// brief answers a review without working on it: the pod is admitted, and each
// Injection that selects it is a failure. If no Injection selects the pod,
// there is no failure.
func (in *Injector) brief(r *Review, reason failure.Reason, why error) Answer {
	if r.Pod == nil {
		return failOpen(r, nil, reason, why)
	}

	matches, err := in.match(r)

	switch {
	case len(matches) > 0:
		return failOpen(r, matches, reason, why)
	case err != nil:
		return failOpen(r, nil, failure.NotLoaded, err)
	default:
		return Answer{Outcome: Untouched}
	}
}

// respond writes the answer, and returns it. If the API server no longer waits,
// it writes an answer that claims nothing, with the record: that server's clock
// may be behind ours, and then the pod gets the record. It looks for the caller
// last of all, when only the writing is left. An answer that cannot be encoded
// is our bug; the pod starts, as after every call that fails.
func (in *Injector) respond(ctx context.Context, w http.ResponseWriter, r *Review, a Answer) Answer {
	body, err := a.encode(r.UID)
	if !in.awaited(ctx) {
		a = a.timedOut(r, !in.hasHungUp(ctx))
		body, err = a.encode(r.UID)
	}

	if err != nil {
		in.logBug(err, r)
		http.Error(w, errUnencodable.Error(), http.StatusInternalServerError)

		return failOpen(r, a.matches, failure.Error, errUnencodable)
	}

	w.Header().Set("Content-Type", "application/json")

	if _, err := w.Write(body); err != nil {
		return a.timedOut(r, false)
	}

	return a
}

// giveUp ends a call that has no review to answer. The API server takes any
// status but 200 as a failed call, and under failurePolicy: Ignore the pod
// starts. The pod's owner is unknown.
func (in *Injector) giveUp(w http.ResponseWriter, why error, d deadlines) {
	outcome, reason, status := Malformed, failure.Error, http.StatusBadRequest

	switch {
	case errors.Is(why, errOverload):
		outcome, reason, status = Failed, failure.Overload, http.StatusServiceUnavailable
	case errors.Is(why, errTimeout):
		outcome, reason, status = Failed, failure.Timeout, http.StatusServiceUnavailable
	}

	in.account(Answer{Outcome: outcome, Failures: []failure.Failure{{Reason: reason, Text: advice(reason, why)}}}, false, d)
	http.Error(w, why.Error(), status)
}

// account counts the outcome of a review, and reports each failure unless it is
// a dry run.
func (in *Injector) account(a Answer, dryRun bool, d deadlines) {
	in.metrics.answered(a.Outcome, d.came)

	if dryRun {
		return
	}

	in.metrics.applied.Add(float64(a.applied))

	for _, f := range a.Failures {
		in.reporter.Report(f)
	}
}
