package audit

import "strings"

// kindOfRefusal says what a refusal may come from.
type kindOfRefusal int

const (
	// otherRefusal does not hang on the parts of a pod: the API server is away, the
	// namespace ends, a volume claim could not be made.
	otherRefusal kindOfRefusal = iota
	// lastingRefusal is for the pod as it is: a 400, 403 or 422.
	lastingRefusal
	// passingRefusal mostly ends by itself: it counts only when it comes twice.
	passingRefusal
)

// refusalIn reads the message of an event FailedCreate. The words are those of the
// API server.
//
// Sources: k8s.io/kubernetes v1.37.2, pkg/controller/controller_utils.go
// (createPods) and pkg/controller/statefulset/stateful_pod_control.go
// (recordPodEvent); k8s.io/apimachinery v0.37.2, pkg/api/errors/errors.go
// (NewForbidden, NewInvalid); k8s.io/client-go v0.37.2, tools/record/events_cache.go
// (the 11th similar event in 10 minutes and later ones); k8s.io/apiserver v0.37.2,
// pkg/admission/plugin/webhook/errors/statuserror.go (ToStatusErr).
func refusalIn(message string) (words string, kind kindOfRefusal) {
	message = strings.TrimPrefix(message, "(combined from similar events): ")
	words = message
	if after, ok := strings.CutPrefix(message, "Error creating: "); ok {
		words = after
	} else if before, after, ok := strings.Cut(message, " failed error: "); ok && strings.HasPrefix(strings.ToLower(before), "create pod ") {
		words = after
	} else {
		return words, otherRefusal
	}

	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(words, p) {
				return true
			}
		}

		return false
	}

	switch {
	case has("is being terminated", "failed calling webhook"):
		return words, otherRefusal
	case has("exceeded quota", "error looking up service account"):
		return words, passingRefusal
	case has(" is forbidden: ", " is invalid: ", " denied the request"):
		return words, lastingRefusal
	default:
		return words, otherRefusal
	}
}
