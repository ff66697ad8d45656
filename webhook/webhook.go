// Package webhook is the first pipe: one AdmissionReview in, one answer out.
//
//	decode → match → patch → check → respond
//
// It keeps the first promise: a pod that the API server would accept without
// Telltale is accepted with it. Nothing here answers allowed: false unless an
// Injection says onFailure: Deny (TestHandleNeverDenies), and there is no I/O
// and no look-up on the way. Whatever goes wrong becomes a failure.Failure in
// the answer, and ServeHTTP hands every one of them to the Reporter.
package webhook

import (
	"context"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// Path is where the API server sends its reviews of pods.
const Path = "/mutate--v1-pod"

// Matcher knows the Injections.
type Matcher interface {
	// Match returns the Injections that select a pod with these labels in a
	// namespace, in the order in which they are applied. An error means that
	// they are not known: never take it for "none".
	Match(podLabels map[string]string, namespace string) ([]patches.Match, error)
}

// Reporter makes failures known. It must neither block nor fail.
type Reporter interface {
	Report(failure.Failure)
}

// Handle answers one review in the order things happen. It refuses a pod only
// where an Injection asks for it; everything else that goes wrong is a failure,
// and the pod starts without the Injection that failed.
func (in *Injector) Handle(ctx context.Context, r *Review) Answer {
	if r.err != nil {
		return failOpen(r, nil, failure.Error, r.err)
	}

	matches, err := in.injections.Match(r.Pod.Labels, r.Namespace)
	if err != nil {
		return failOpen(r, nil, failure.NotLoaded, err)
	}

	if len(matches) == 0 {
		return Answer{Outcome: Untouched}
	}

	return answer(r, matches, patches.New(ctx, r.Pod, matches))
}
