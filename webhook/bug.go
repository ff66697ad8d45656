package webhook

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// The bugs of Telltale that a pod survives.
var (
	errPanic       = errors.New("panic while answering the review")
	errUnencodable = errors.New("cannot encode the answer to the review")
)

// survive answers a review after a panic: the pod is admitted. It returns an
// error if the review was not decoded yet.
func (in *Injector) survive(panicked any, r *Review) (Answer, error) {
	in.logBug(fmt.Errorf("panic: %v", panicked), r)

	if r == nil {
		return Answer{}, errPanic
	}

	return failOpen(r, nil, failure.Error, errPanic), nil
}

// logBug logs a bug for Telltale's developers. The review may be nil.
func (in *Injector) logBug(bug error, r *Review) {
	if !in.stacks.Allow() {
		return
	}

	namespace := ""
	if r != nil {
		namespace = r.Namespace
	}

	in.log.Error(bug, "Telltale has a bug; the pod starts without its Injections",
		"namespace", namespace, "stack", string(debug.Stack()))
}
