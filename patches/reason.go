package patches

// Reason says why an Injection was not applied to a pod. Its values are reasons
// of package failure, word for word (webhook.TestReasonsAreFailures).
type Reason string

// The reasons for which an Injection is not applied.
const (
	// Conflict: the pod, or an earlier Injection, has something of that name.
	Conflict Reason = "InjectionConflict"
	// Invalid: the Injection itself can't be used.
	Invalid Reason = "InjectionInvalid"
	// Unsafe: the patched pod would not be a valid pod.
	Unsafe Reason = "InjectionUnsafe"
	// Forbidden: the namespace's Pod Security level, a ResourceQuota or a
	// LimitRange would refuse the patched pod, but not the original.
	Forbidden Reason = "InjectionForbidden"
	// Refused: pods with it were refused after the webhook's answer, and a pod
	// without it was not. Or the selector of the pod's controller excludes one of
	// its labels.
	Refused Reason = "InjectionRefused"
	// Unmet: an object that it requires is not there.
	Unmet Reason = "InjectionUnmet"
	// Timeout: there was no time left to judge it.
	Timeout Reason = "InjectionTimeout"
	// NotLoaded: it depends on a namespace, or on an object that it requires, and that
	// is not known yet.
	NotLoaded Reason = "InjectionsNotLoaded"
)

// Reasons returns every reason there is.
func Reasons() []Reason {
	return []Reason{Conflict, Invalid, Unsafe, Forbidden, Refused, Unmet, Timeout, NotLoaded}
}
