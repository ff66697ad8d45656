package ledger

import "time"

// Cause says why failures can never be shown. It is the label of a metric.
type Cause string

// The closed list of causes.
const (
	// NoOwner: the review did not tell the pod's owner.
	NoOwner Cause = "no_owner"
	// OwnerUnconfirmed: the API server does not know the object that the review
	// called the pod's controller, or knows another one by that name.
	OwnerUnconfirmed Cause = "owner_unconfirmed"
	// NamespaceGone: the namespace is gone, or going.
	NamespaceGone Cause = "namespace_gone"
	// EventInvalid: the API server called the event invalid.
	EventInvalid Cause = "event_invalid"
)

// Causes returns every cause there is.
func Causes() []Cause {
	return []Cause{NoOwner, OwnerUnconfirmed, NamespaceGone, EventInvalid}
}

// FinalError is the error of a sink, or of a look-up of an owner, that no retry
// mends: the entry is given up, and counted as unreported under the cause.
type FinalError struct {
	Cause Cause
	Err   error
}

// Error is the text of the error that it wraps.
func (e *FinalError) Error() string { return e.Err.Error() }

// Unwrap returns the error that it wraps.
func (e *FinalError) Unwrap() error { return e.Err }

// WaitError is the error of a sink, or of a look-up of an owner, that asks for
// time before the next try.
type WaitError struct {
	Wait time.Duration
	Err  error
}

// Error is the text of the error that it wraps.
func (e *WaitError) Error() string { return e.Err.Error() }

// Unwrap returns the error that it wraps.
func (e *WaitError) Unwrap() error { return e.Err }
