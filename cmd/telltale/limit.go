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

// errHung tells why a call was given up. It is not context.Canceled, by which others know
// that they are to end.
var errHung = fmt.Errorf("the API server had no answer within %v, or something on the way to it hangs: %w", callLimit, context.DeadlineExceeded)

// limitedCalls gives up calls to the API server that last for too long, their answers
// included: without a limit, something between can hang one for ever
// (TestLimitedCalls). Parts of Telltale that can't wait so long have limits of their own.
// A watch has no end: only its beginning is limited.
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
	body := &limitedBody{stop: func() { timer.Stop(); end(nil) }, cause: func() error { return context.Cause(ctx) }}

	answer, err := l.RoundTripper.RoundTrip(r.WithContext(ctx))
	if err != nil {
		defer body.stop()

		return nil, body.why(err)
	}

	if r.URL.Query().Get("watch") == "true" {
		timer.Stop()
	}

	body.ReadCloser, answer.Body = answer.Body, body

	return answer, nil
}

// limitedBody is the body of an answer.
type limitedBody struct {
	io.ReadCloser

	stop  func()
	cause func() error
}

// Read reads from the body.
func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}

	return n, b.why(err)
}

// Close closes the body.
func (b *limitedBody) Close() error {
	defer b.stop()

	return b.ReadCloser.Close()
}

// why is errHung if that is the cause of an error.
func (b *limitedBody) why(err error) error {
	if errors.Is(b.cause(), errHung) {
		return errHung
	}

	return err
}
