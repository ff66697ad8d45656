package ledger

import "time"

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
