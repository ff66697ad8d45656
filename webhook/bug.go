package webhook

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// The bugs of ours that a pod survives.
var (
	errPanic       = errors.New("panic while answering the review")
	errUnencodable = errors.New("cannot encode the answer to the review")
)

// recoverPanic, deferred, ends a panic with an answer that admits the pod; or
// with an error, if the review was not decoded yet.
func (in *Injector) recoverPanic(r **Review, a *Answer, err *error) {
	p := recover()
	if p == nil {
		return
	}

	in.logBug(fmt.Errorf("panic: %v", p), *r)

	if *r == nil {
		*err = errPanic

		return
	}

	*a = failOpen(*r, nil, failure.Error, errPanic)
}

// logBug tells a developer of Telltale about a bug. The review may be nil.
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
