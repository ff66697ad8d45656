// Package pods looks at every pod that exists, and finds those that lack an
// Injection: the API server did not ask Telltale, or something took the Injection
// away later. It also finds those that do not start because of one.
//
//	audit, err := pods.New(manager, known, reporter, counter, withdrawer, pods.Options{})
//	audit.Keep(ctx) // in the leader
//
// It asks of a pod that exists the same question as the webhook asks of one that
// is to be, with the same Injections and the same plans. So a pod that has all of
// an Injection is injected, whatever its record says. A pod that lacks it counts as
// missed only if nothing that decides was edited since the pod was created: the
// Injection, the labels of the namespace, the registration. Where that can't be
// told, the pod is unsure, and no event says that it was missed (TestStates).
//
// A pod is stuck if a container that an Injection added fails, or if an object is
// missing that no other part of the pod names (TestSymptoms). It is told once that
// has lasted, and once in all, also if it recovers in between (TestStuck). If no pod
// of its owner starts, the owner's new pods start without the Injection.
//
// Read term.go first: it is one time as the leader, from the mark of the last one to its
// own. It looks at each pod (watch.go), judges it (state.go) and tells what is new
// (tell.go). Others keep what it needs: changes of Injections and namespaces, the book of
// states, the pods that hang and their mounts, and the stories of owners.
//
// It keeps no pods: of each that an Injection selects it remembers the states.
// The rest of its memory is on the API server, for the next leader: events have the
// names of the pods that they count, a Lease says up to when all was told, and how
// the registration was (telltale.TestMissed).
package pods
