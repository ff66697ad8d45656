// Package pods looks at every pod that exists, and finds those that lack an
// Injection: the API server did not ask Telltale, or something took the Injection
// away later.
//
// It asks of a pod that exists the same question as the webhook asks of one that
// is to be, with the same Injections and the same plans. So a pod that has all of
// an Injection is injected, whatever its record says. A pod that lacks it counts as
// missed only if nothing that decides was edited since the pod was created: the
// Injection, the labels of the namespace, the registration. Where that can't be
// told, the pod is unsure, and no event says that it was missed (TestStates).
package pods
