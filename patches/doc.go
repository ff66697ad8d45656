// Package patches decides what Injections do to a pod, and writes that down as a
// JSON patch. There is no I/O, no clock and no goroutine.
//
//	set := (&patches.Set{}).With(patches.Compile(injection))
//	pod, err := patches.Decode(raw)
//	result := patches.New(ctx, pod, set.Match(pod.Traits(), namespace))
//	response.Patch = result.Patch
//
// Read it in this order:
//
//	compile  an Injection, once for each edit: all that needs no pod
//	match    a pod with the set of all Injections
//	plan     all changes of one Injection, and the obstacles to them
//	draft    the pod with the plans that were made
//	judge    the drafted pod as a whole, with the API server's own code
//
// Three promises:
//
//   - An Injection is applied to a pod whole or not at all (TestAllOrNothing).
//   - The patch only adds to, or replaces within, the raw JSON it was given. A
//     field that our libraries do not know stays as it is (TestGolden).
//   - Patching a pod twice changes no more than patching it once: what was
//     applied is found there, and only what failed is tried again
//     (TestGoldenTwice, FuzzPatch).
package patches
