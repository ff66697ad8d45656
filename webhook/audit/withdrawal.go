package audit

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/internal/oneline"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

const (
	// firstWait is how long an owner's pods start without an Injection before they
	// get it again. It doubles each time they are refused again, to lastWait.
	firstWait, lastWait = 10 * time.Minute, 6 * time.Hour
	// remembered is how long it is known after that how often they were refused.
	remembered = 24 * time.Hour
	// At manyOwners proven owners in one namespace, the others there start without,
	// too. They also do where so many are refused for the same cause and fewOwners are
	// proven: the rest only waits for the next try of its controllers. At
	// manyWithdrawals in all, every pod starts without. No more trials go on at a time
	// in all namespaces, nor do more wait for slow controllers, and no more owners are
	// remembered.
	manyOwners, fewOwners, manyWithdrawals = 20, 5, 200
	// trialsAtOnce bounds the trials in one namespace. They are more than are needed:
	// the first controllers to try again decide. The ReplicaSet controller has 10
	// retries a second for all ReplicaSets.
	//
	// Source: DefaultTypedControllerRateLimiter, k8s.io/client-go v0.37.2
	// util/workqueue/default_rate_limiters.go.
	trialsAtOnce = 3 * manyOwners
	// maxText is the longest text of a withdrawal, in bytes: that of an event.
	maxText = 1024
)

// edit changes the withdrawals of an Injection.
type edit func([]v1alpha1.Withdrawal) []v1alpha1.Withdrawal

// tryWithout begins a trial of an owner. A trial that goes on already keeps the
// refusal that it began with.
func tryWithout(key v1alpha1.Withdrawal, revision, text string, now time.Time) edit {
	return func(all []v1alpha1.Withdrawal) []v1alpha1.Withdrawal {
		at := find(all, key, revision)

		switch {
		case at < 0:
			key.Revision = revision
			all, at = append(all, key), len(all)
		case all[at].Phase == v1alpha1.TrialPhase:
			return all
		}

		one := &all[at]
		one.Phase, one.Reason, one.Since, one.Until, one.Text = v1alpha1.TrialPhase, "", at1s(now), nil, oneline.Cut(text, maxText)

		return all
	}
}

// acquit ends a trial that has failed.
func acquit(key v1alpha1.Withdrawal, revision string) edit {
	return func(all []v1alpha1.Withdrawal) []v1alpha1.Withdrawal {
		if at := find(all, key, revision); at >= 0 && all[at].Phase == v1alpha1.TrialPhase {
			return slices.Delete(all, at, at+1)
		}

		return all
	}
}

// convict ends a trial that has passed: the Injection is withdrawn from the owner,
// since the trial began.
func convict(key v1alpha1.Withdrawal, revision string, now time.Time) edit {
	return func(all []v1alpha1.Withdrawal) []v1alpha1.Withdrawal {
		at := find(all, key, revision)
		if at < 0 || all[at].Phase != v1alpha1.TrialPhase {
			return all
		}

		withdraw(&all[at], now)

		return fold(all, all[at], now)
	}
}

func withdraw(one *v1alpha1.Withdrawal, now time.Time) {
	wait := firstWait
	for range one.Tries {
		wait = min(2*wait, lastWait)
	}

	until := at1s(now.Add(wait))
	one.Phase, one.Until = v1alpha1.WithdrawnPhase, &until
	one.Tries++
}

// fold makes one withdrawal of many, after one more: of those in its namespace, or of
// all.
func fold(all []v1alpha1.Withdrawal, newest v1alpha1.Withdrawal, now time.Time) []v1alpha1.Withdrawal {
	cause := refusal{words: newest.Text}.cause()
	isOwner := func(w v1alpha1.Withdrawal) bool { return w.Namespace == newest.Namespace && w.Name != "" }
	isProven := func(w v1alpha1.Withdrawal) bool { return isOwner(w) && isWithdrawn(w) }
	isAlike := func(w v1alpha1.Withdrawal) bool {
		return isOwner(w) && w.Phase != v1alpha1.RetryPhase && cause != "" && refusal{words: w.Text}.cause() == cause
	}

	proven := count(all, isProven)
	if proven >= manyOwners || proven >= fewOwners && count(all, isAlike) >= manyOwners {
		into := v1alpha1.Withdrawal{Namespace: newest.Namespace, Revision: newest.Revision}
		all = merge(all, into, now, func(w v1alpha1.Withdrawal) bool { return w.Namespace == newest.Namespace })
	}

	if count(all, isWithdrawn) >= manyWithdrawals {
		all = merge(all, v1alpha1.Withdrawal{Revision: newest.Revision}, now, func(v1alpha1.Withdrawal) bool { return true })
	}

	for len(all) > manyWithdrawals {
		oldest := slices.IndexFunc(all, func(w v1alpha1.Withdrawal) bool { return w.Phase == v1alpha1.RetryPhase })
		if oldest < 0 {
			break
		}

		all = slices.Delete(all, oldest, oldest+1)
	}

	return all
}

func isWithdrawn(w v1alpha1.Withdrawal) bool { return w.Phase == v1alpha1.WithdrawnPhase }

// merge puts one withdrawal in the place of several. It has the newest text, and
// is one try more than the one that was there before.
func merge(all []v1alpha1.Withdrawal, into v1alpha1.Withdrawal, now time.Time, of func(v1alpha1.Withdrawal) bool) []v1alpha1.Withdrawal {
	for _, w := range all {
		if of(w) && isWithdrawn(w) && (into.Text == "" || into.Since.Before(&w.Since)) {
			into.Reason, into.Text, into.Since = w.Reason, w.Text, w.Since
		}

		if of(w) && w.Name == "" && w.Namespace == into.Namespace {
			into.Tries = w.Tries
		}
	}

	withdraw(&into, now)
	into.Since = at1s(now)

	return append(slices.DeleteFunc(all, of), into)
}

// retry lets owners get the Injection again when their time has come, and forgets
// those that are gone and those that were let be for long.
func retry(now time.Time, gone func(v1alpha1.Withdrawal) bool) edit {
	return func(all []v1alpha1.Withdrawal) []v1alpha1.Withdrawal {
		kept := all[:0]

		for _, w := range all {
			switch {
			case w.Name != "" && gone(w):
				continue
			case w.Phase == v1alpha1.TrialPhase && now.Sub(w.Since.Time) > trialLimit+sweepPeriod:
				continue // its leader has ended, and the owner can't be found again
			case w.Phase == v1alpha1.WithdrawnPhase && w.Until != nil && !now.Before(w.Until.Time):
				w.Retry(now)
			case w.Phase == v1alpha1.RetryPhase && now.Sub(w.Since.Time) >= remembered:
				continue
			}

			w.Text = oneline.Cut(w.Text, maxText) // earlier versions did not
			kept = append(kept, w)
		}

		return kept
	}
}

// find returns the index of an owner's withdrawal, or -1.
func find(all []v1alpha1.Withdrawal, key v1alpha1.Withdrawal, revision string) int {
	return slices.IndexFunc(all, func(w v1alpha1.Withdrawal) bool {
		return w.Revision == revision && w.Namespace == key.Namespace && w.Kind == key.Kind &&
			w.Name == key.Name && w.UID == key.UID && w.Template == key.Template
	})
}

func count(all []v1alpha1.Withdrawal, of func(v1alpha1.Withdrawal) bool) (n int) {
	for _, w := range all {
		if of(w) {
			n++
		}
	}

	return n
}

// at1s is a time as an API object has it.
func at1s(t time.Time) metav1.Time { return metav1.NewTime(t).Rfc3339Copy() }
