package ledger

import "time"

// Cause says why failures can never be shown. It is the label of a metric.
type Cause string

// The closed list of causes.
const (
	// NoOwner: the review did not name the pod's owner.
	NoOwner Cause = "no_owner"
	// OwnerUnconfirmed: the review named an object as the pod's controller, and
	// the API server does not know it, or knows another one by that name.
	OwnerUnconfirmed Cause = "owner_unconfirmed"
	// NamespaceGone: the namespace is deleted, or being deleted, or there never was
	// one of this name.
	NamespaceGone Cause = "namespace_gone"
	// EventInvalid: the API server called the event invalid.
	EventInvalid Cause = "event_invalid"
	// Partial: a backend took only a part of a request, so some of the request's
	// records are not there.
	Partial Cause = "partial"
	// RecordInvalid: a backend called the record invalid.
	RecordInvalid Cause = "record_invalid"
)

// Causes returns every cause.
func Causes() []Cause {
	return []Cause{NoOwner, OwnerUnconfirmed, NamespaceGone, EventInvalid, Partial, RecordInvalid}
}

// FinalError is the error of a sink, or of a look-up of an owner, that no retry
// can mend. The entry is given up, and counted as unreported under the cause.
type FinalError struct {
	Cause Cause
	Err   error
}

// Error is the text of the error that it wraps.
func (e *FinalError) Error() string { return e.Err.Error() }

// Unwrap returns the error that it wraps.
func (e *FinalError) Unwrap() error { return e.Err }

// NotYetError is the error of a sink, or of a look-up of an owner, that concerns
// one entry alone. It is tried again, and others of its namespace do not wait.
type NotYetError struct{ Err error }

// Error is the text of the error that it wraps.
func (e *NotYetError) Error() string { return e.Err.Error() }

// Unwrap returns the error that it wraps.
func (e *NotYetError) Unwrap() error { return e.Err }

// WaitError is the error of a sink, or of a look-up of an owner, that asks to
// wait before the next try.
type WaitError struct {
	Wait time.Duration
	Err  error
}

// Error is the text of the error that it wraps.
func (e *WaitError) Error() string { return e.Err.Error() }

// Unwrap returns the error that it wraps.
func (e *WaitError) Unwrap() error { return e.Err }
