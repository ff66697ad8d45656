package webhook

import (
	"errors"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// errOverload is why a review got a brief answer.
var errOverload = errors.New("too many admissions in flight")

// brief answers a review for which there is no room, or no time: the pod is
// admitted, and each Injection that selects it is a failure. A pod that nothing
// selects has lost nothing.
func (in *Injector) brief(r *Review, reason failure.Reason, why error) Answer {
	if r.Pod == nil {
		return failOpen(r, nil, reason, why)
	}

	matches, err := in.injections.Match(r.Pod.Labels, r.Namespace)

	switch {
	case err != nil:
		return failOpen(r, nil, failure.NotLoaded, err)
	case len(matches) == 0:
		return Answer{Outcome: Untouched}
	default:
		return failOpen(r, matches, reason, why)
	}
}
