package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Retry has the owner's new pods get the Injection again, from a time on.
func (w *Withdrawal) Retry(now time.Time) {
	w.Phase, w.Since, w.Until = RetryPhase, metav1.NewTime(now).Rfc3339Copy(), nil
}

// AskRetry returns the value of RetryAnnotation that ends all of these withdrawals. It
// comes from their own times, which the leader wrote, so no clock of a user matters.
// It is "" if none is in force. A trial is none: it ends in seconds by itself.
func AskRetry(all []Withdrawal) string {
	var last time.Time

	for i := range all {
		if all[i].Phase == WithdrawnPhase && all[i].Since.After(last) {
			last = all[i].Since.Time
		}
	}

	if last.IsZero() {
		return ""
	}

	return last.UTC().Format(time.RFC3339)
}

// RetryAsked ends the withdrawals that RetryAnnotation asks to end. A time that is
// still to come, or can't be read, ends none: withdrawals that are made until then
// would end at once, and the pods of their owners would be refused again and again.
func RetryAsked(annotation string, all []Withdrawal, now time.Time) []Withdrawal {
	upTo, err := time.Parse(time.RFC3339, annotation)
	if err != nil || upTo.After(now) {
		return all
	}

	for i := range all {
		if all[i].Phase == WithdrawnPhase && !all[i].Since.After(upTo) {
			all[i].Retry(now)
		}
	}

	return all
}
