package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// callLimit is longer than an API server works on a call: a minute, by default (its
// --request-timeout).
const callLimit = 70 * time.Second

// errHung tells why a call was given up.
var errHung = errors.New("the API server had no answer in time, or something on the way to it hangs")

// limitedCalls gives up calls to the API server that last for too long, their answers
// included: without a limit, something between can hang one for ever
// (TestLimitedCalls). Parts of Telltale
// that can't wait so long have limits of their own. A watch has no end: only its
// beginning is limited.
type limitedCalls struct {
	http.RoundTripper

	limit time.Duration
}

// limitCalls is for rest.Config.Wrap.
func limitCalls(calls http.RoundTripper) http.RoundTripper { return limitedCalls{calls, callLimit} }

// RoundTrip makes a call.
func (l limitedCalls) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, end := context.WithCancelCause(r.Context())
	timer := time.AfterFunc(l.limit, func() { end(errHung) })
	stop := func() { timer.Stop(); end(nil) }

	answer, err := l.RoundTripper.RoundTrip(r.WithContext(ctx))
	if err != nil {
		if hung := context.Cause(ctx); errors.Is(hung, errHung) {
			err = fmt.Errorf("%w: %w", hung, err)
		}

		stop()

		return nil, err
	}

	if r.URL.Query().Get("watch") == "true" {
		timer.Stop()
	}

	answer.Body = &stopping{answer.Body, stop}

	return answer, nil
}

// stopping is a body that calls a function when it is closed.
type stopping struct {
	io.ReadCloser

	stop func()
}

// Close closes the body.
func (b *stopping) Close() error {
	defer b.stop()

	return b.ReadCloser.Close()
}
