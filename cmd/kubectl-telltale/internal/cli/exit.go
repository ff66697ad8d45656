package cli

import (
	"errors"
	"fmt"
	"io"
)

// exit is an error with an exit code of its own.
type exit struct {
	code int
	err  error
}

// Error returns the text.
func (e *exit) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *exit) Unwrap() error { return e.err }

// Finding is how a command ends that found something: exit code 1. The text is
// one line on stderr; an empty text prints nothing.
func Finding(format string, args ...any) error {
	return &exit{code: 1, err: fmt.Errorf(format, args...)}
}

// Unknown is how a command ends that could not tell: exit code 2.
func Unknown(format string, args ...any) error {
	return &exit{code: 2, err: fmt.Errorf(format, args...)}
}

// Code prints an error and returns its exit code: 0 for none, 1 for a Finding,
// and 2 for any other.
func Code(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}

	if text := err.Error(); text != "" {
		fmt.Fprintln(stderr, "error: "+text)
	}

	if e, ok := errors.AsType[*exit](err); ok {
		return e.code
	}

	return 2
}
