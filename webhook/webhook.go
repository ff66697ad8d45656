// Package webhook is the first pipe: one AdmissionReview in, one answer out.
//
//	decode → match → patch → check → respond
//
// It keeps the first promise: a pod that the API server would accept without
// Telltale is accepted with it. Nothing here answers allowed: false unless an
// Injection says onFailure: Deny (TestHandleNeverDenies). There is no I/O and
// no look-up on the way, and nothing waits, but for the births of namespaces
// (births.go). If anything goes wrong, it becomes a failure.Failure
// in the answer, and ServeHTTP hands every failure to the Reporter. serve.go
// follows one review through all of it.
package webhook

import (
	"k8s.io/apimachinery/pkg/labels"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// Path is where the API server sends its reviews of pods.
const Path = "/mutate--v1-pod"

// Matcher knows the Injections.
type Matcher interface {
	// Match returns the Injections that select a pod with these traits in a
	// namespace, in the order in which they are applied. An error means that the
	// Injections are not known: never take it for "none". If some come with an
	// error, the pod gets them, but may need others, or newer ones.
	Match(pod patches.Traits, namespace string) ([]patches.Match, error)
}

// Reporter makes failures known. It must neither block nor fail.
type Reporter interface {
	Report(failure.Failure)
}

// Selectors knows the selectors of the controllers of pods.
type Selectors interface {
	// Excluding returns the requirements of a controller's selector that a label
	// can break if it is added to a pod (patches.Excluding), as far as they are
	// known. It must not wait to find them out.
	Excluding(controller failure.Ref) labels.Requirements
}

// noSelectors knows none.
type noSelectors struct{}

// Excluding returns none.
func (noSelectors) Excluding(failure.Ref) labels.Requirements { return nil }
