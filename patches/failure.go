package patches

// Failure is an Injection that was not applied, and why.
type Failure struct {
	Injection *Injection
	Reason    Reason
	// Text says what, where, and what to do, in one line. It holds no value of
	// an env var.
	Text string
	// Trial is true if it is not known yet whether the Injection is to blame. The
	// outcome is in the phase of its withdrawal.
	Trial bool
}
