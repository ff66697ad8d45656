// Package canary finds out whether the API server asks Telltale about new pods, as
// long as no pod of a user is missed for it.
//
//	c, err := canary.New(manager, canary.Options{…})
//	c.Keep(ctx) // in the leader
//	c.Well()    // may pods be healed?
//
// Each minute it creates a pod, as a dry run, in a namespace that holds nothing. So
// the review takes the way of all reviews: the same registration, the same network,
// the same certificate. The webhook answers it with the Injection of Matches. A pod
// that comes back without a record shows that the API server does not ask: after
// three of them in a row, 20 s apart at most, an outage has begun. If something else
// refuses the pod, or the API server is away, nothing is known, and that is no
// outage.
//
// The API server does not say why it does not ask. So the cause is looked for where
// it can be: the registration, the endpoints of the Service, a handshake with each.
//
// An outage is one Warning event on Telltale's own Deployment, and its end is a
// Normal one. A Lease keeps it for the next leader, and the events' names follow from
// its beginning. So no leader tells it a second time (telltale.TestCanaryLeader).
package canary
