package event

import (
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	s := own(err)
	switch {
	case is(s, metav1.StatusReasonNotFound, "namespaces"), terminating(s):
		return &ledger.FinalError{Cause: ledger.NamespaceGone, Err: err}
	case is(s, metav1.StatusReasonInvalid, "Event"), is(s, metav1.StatusReasonRequestEntityTooLarge, ""):
		return &ledger.FinalError{Cause: ledger.EventInvalid, Err: err}
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return &ledger.NotYetError{Err: err}
	case asked:
		return &ledger.WaitError{Wait: time.Duration(seconds) * time.Second, Err: err}
	default:
		return err
	}
}

// own returns the API server's own words out of an error, or none. The page of
// a load balancer is none, whatever its code is. Neither is the answer of
// another webhook, even if its code is 400 (which is the default): it may change.
func own(err error) metav1.Status {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || apierrors.IsUnexpectedServerError(err) || strings.HasPrefix(status.ErrStatus.Message, "admission webhook ") {
		return metav1.Status{}
	}

	return status.ErrStatus
}

// is tells whether a Status has a reason, and is about a kind. The validation of
// events names the kind Event. A policy that calls an event invalid names the
// resource, events.
func is(s metav1.Status, reason metav1.StatusReason, kind string) bool {
	about := ""
	if s.Details != nil {
		about = s.Details.Kind
	}

	return s.Reason == reason && about == kind
}

func terminating(s metav1.Status) bool {
	return apierrors.HasStatusCause(&apierrors.StatusError{ErrStatus: s}, corev1.NamespaceTerminatingCause)
}

// gone tells whether the API server has no such event.
func gone(err error) bool { return is(own(err), metav1.StatusReasonNotFound, "events") }

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
