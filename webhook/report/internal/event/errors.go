package event

import (
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// explain says which event could not be written, and whether and when to try
// again.
func explain(e ledger.Entry, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("cannot write the event on %s: %w", e.Owner, err)
	seconds, asked := apierrors.SuggestsClientDelay(err)
	switch {
	case namespaceGone(err):
		return &ledger.FinalError{Cause: ledger.NamespaceGone, Err: err}
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		return &ledger.FinalError{Cause: ledger.EventInvalid, Err: err}
	case asked:
		return &ledger.WaitError{Wait: time.Duration(seconds) * time.Second, Err: err}
	default:
		return err
	}
}

func namespaceGone(err error) bool {
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return true
	}
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || !apierrors.IsNotFound(err) {
		return false
	}
	d := status.Status().Details

	return d != nil && d.Kind == "namespaces"
}

// Result is how a call to the API server ended. It is the label of a metric.
type Result string

// The closed list of results.
const (
	// Created: an event was created.
	Created Result = "created"
	// Patched: an event was brought up to date.
	Patched Result = "patched"
	// Read: an event was read, to be brought up to date.
	Read Result = "read"
	// Conflict: the event was not as expected. It is read, and written again.
	Conflict Result = "conflict"
	// Gone: there was no such event, or no such namespace.
	Gone Result = "gone"
	// Forbidden: events may not be written, or the namespace is being deleted.
	Forbidden Result = "forbidden"
	// Throttled: the API server asked for fewer calls.
	Throttled Result = "throttled"
	// Failed: any other error, for example a time-out or a refused connection.
	Failed Result = "error"
)

// Results returns every result.
func Results() []Result {
	return []Result{Created, Patched, Read, Conflict, Gone, Forbidden, Throttled, Failed}
}

// Calls returns how many calls were made so far.
func (w *Writer) Calls() map[Result]int64 {
	calls := map[Result]int64{}
	for r, n := range w.calls {
		calls[r] = n.Load()
	}

	return calls
}

func result(err error, ok Result) Result {
	switch {
	case err == nil:
		return ok
	case apierrors.IsAlreadyExists(err), apierrors.IsConflict(err):
		return Conflict
	case apierrors.IsNotFound(err):
		return Gone
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return Forbidden
	case apierrors.IsTooManyRequests(err):
		return Throttled
	default:
		return Failed
	}
}
