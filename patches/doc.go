// Package patches decides what Injections do to a pod, and writes it down as a
// JSON patch. It is pure: no I/O, no clock, no goroutines.
//
//	set := (&patches.Set{}).With(patches.Compile(injection))
//	pod, err := patches.Decode(raw)
//	result := patches.New(pod, set.Match(pod, namespace))
//	response.Patch = result.Patch
//
// Three promises:
//
//   - An Injection is applied to a pod whole or not at all (TestAllOrNothing).
//   - The patch only adds to, or replaces within, the raw JSON it was given. A
//     field that our libraries do not know stays as it is (TestGolden).
//   - Patching a pod twice changes no more than patching it once: what was
//     applied is found there, and only what failed is tried again
//     (TestGoldenTwice, FuzzPatch).
//
// Compile does once, when an Injection changes, all that needs no pod; New does
// the rest for each pod, in two steps: plan every change of an Injection and
// look for what is in its way (a conflict, what would be no valid pod, the Pod
// Security level of the namespace), then make the changes.
package patches
