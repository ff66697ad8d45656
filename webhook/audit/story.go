package audit

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

const (
	// spread is how long it takes until every replica knows of a trial: refusals
	// before that may be of pods that were injected still. An event has whole
	// seconds, so that half of it must do.
	spread = 2 * time.Second
	// trialLimit ends a trial that shows nothing: a controller's own wait between
	// two tries is 1,000 s at most.
	trialLimit = 20 * time.Minute
	// firstPoll is how soon to look for a pod of a trial; later looks are rarer, and
	// ever rarer for a trial that is slow.
	firstPoll, nextPoll, lastPoll = 300 * time.Millisecond, time.Second, 10 * time.Second
	// lookAgain is when to look again at an owner that seems to have its pods.
	lookAgain = time.Second
	// slow is when a trial no longer keeps others from beginning.
	slow = 30 * time.Second
	// otherWait is how soon acquitted suspects may be tried again if the pods are
	// refused for something else. It doubles.
	otherWait = 5 * time.Second
	// skew is by how much the API server's clock may be behind ours.
	skew = 5 * time.Second
)

// story is what is known of an owner whose pods were refused.
type story struct {
	hearing

	handled int  // how many of the refusals were looked at
	over    int  // how many came before it last had its pods, or a trial ended
	gone    bool // the owner no longer exists

	trial *trial

	acquittals  int    // in a row
	acquitted   string // the suspects
	acquittedAt time.Time
	// without is what the pod was refused for without any of them; empty: not known.
	without string

	// convicted is when all replicas know of the last conviction. A refusal before
	// it says nothing of the Injections that are left.
	convicted time.Time
}

// refusal is one that was heard of.
type refusal struct {
	words string
	kind  kindOfRefusal
	at    time.Time
	// happened is when it was, in whole seconds of the controller's clock. It is zero
	// if the event does not say. In a storm it is heard much later.
	happened time.Time
}

// maxCause is how much of a cause counts, in bytes: so much of it is left in a text
// that was cut, whatever the pod's name.
const maxCause = maxText / 2

// cause is the text without the pod that it begins with.
func (r refusal) cause() string {
	_, cause, _ := strings.Cut(r.words, ": ")

	return cause[:min(len(cause), maxCause)]
}

// isNew tells whether it was just now: what is known of its owner may be older.
func (r refusal) isNew(now time.Time) bool { return now.Sub(r.happened) < skew }

// isAfter tells whether it is surely later than a moment, so that its pod was
// answered with all that was known then.
func (r refusal) isAfter(moment time.Time) bool {
	late := !r.happened.IsZero() && !r.happened.Add(time.Second).After(moment)

	return r.at.After(moment) && !late
}

// suspect is an Injection of the owner's pods.
type suspect struct {
	name      types.NamespacedName
	injection *patches.Injection
}

// trial leaves Injections out of an owner's next pods.
type trial struct {
	key      v1alpha1.Withdrawal
	suspects []suspect
	without  suspects // now
	planned  suspects // to be left out next; none while those that are planned are
	tried    map[suspects]bool
	began    time.Time
	clear    time.Time // when all replicas know that no others are left out; zero: not known yet
	changed  time.Time // when these were left out
	spread   time.Time // when all replicas know it; zero: not known yet
	polls    int

	before map[types.UID]bool // pods from before the trial
	after  metav1.Time        // for a trial of the last leader, in place of before
	slow   bool               // its controller lets it wait: others need not
}

func newTrial(key v1alpha1.Withdrawal, all []suspect, began time.Time) *trial {
	return &trial{key: key, suspects: all, tried: map[suspects]bool{}, began: began, clear: began, before: map[types.UID]bool{}}
}

// plan has others left out next. Those of now that are not among them no longer are.
func (t *trial) plan(next suspects) {
	if t.without&^next != 0 {
		t.clear = time.Time{}
	}

	t.planned, t.without = next, t.without&next
}

// clears is how long to wait before those that are planned are left out. It is told
// whether others are known to be left out still.
func (t *trial) clears(others bool, now time.Time) time.Duration {
	switch {
	case others:
		t.clear = time.Time{}

		return firstPoll
	case t.clear.IsZero():
		t.clear = now.Add(spread)
	}

	return t.clear.Sub(now)
}

// begin leaves out those that are planned.
func (t *trial) begin(now time.Time) {
	t.without, t.planned, t.tried[t.planned] = t.planned, 0, true
	t.changed, t.spread, t.polls = now, time.Time{}, 0
}

// named are those of the suspects that a refusal names.
func named(all []suspect, words string) (which suspects) {
	for i, s := range all {
		if patches.NamedIn(s.injection, words) != "" {
			which |= 1 << i
		}
	}

	return which
}

// isRefused tells whether the pods of the trial were refused as well. If a refusal
// names others than those that are left out, and for the first time, it need not be
// known that all replicas knew of the trial.
func (t *trial) isRefused(r refusal) bool {
	if r.kind == otherRefusal || !r.at.After(t.changed) {
		return false
	}

	more := named(t.suspects, r.words)
	if more != 0 && more&t.without == 0 && !t.tried[more] && !t.tried[t.without|more] {
		return true
	}

	return !t.spread.IsZero() && r.isAfter(t.spread)
}

// next is how long to wait before the next look.
func (t *trial) next() time.Duration {
	last := nextPoll
	if t.slow {
		last = lastPoll
	}

	wait := firstPoll
	for range min(t.polls, 16) {
		wait = min(wait*3/2, last)
	}

	t.polls++

	return wait
}

// left are the Injections that are left out now.
func (t *trial) left() (injections []*patches.Injection) {
	t.without.each(func(i int) { injections = append(injections, t.suspects[i].injection) })

	return injections
}

// maySuspect tells whether these may be tried, so soon after they were acquitted.
func (s *story) maySuspect(key v1alpha1.Withdrawal, all []suspect, now time.Time) bool {
	return len(all) > 0 && (s.acquitted != charge(key, all) || now.Sub(s.acquittedAt) >= s.wait())
}

// wait is for how long the suspects are let be after they were acquitted. It is short
// where the pods are refused for something else than without the suspects: that may
// have ended, and an Injection is to blame as well.
func (s *story) wait() time.Duration {
	wait, most := firstWait, lastWait
	if s.without != "" && s.newest.kind == lastingRefusal && s.newest.cause() != s.without {
		wait, most = otherWait, trialLimit
	}

	for range s.acquittals - 1 {
		wait = min(2*wait, most)
	}

	return wait
}

// acquit takes note of a trial: what refuses the pods does so without Injections.
func (s *story) acquit(t *trial, now time.Time) {
	s.acquitted, s.acquittedAt = charge(t.key, t.suspects), now
	s.acquittals++

	s.without = ""
	if t.without == everyone(len(t.suspects)) {
		s.without = s.newest.cause()
	}
}

// charge is the pods' template, as far as it can change, and all suspects.
func charge(key v1alpha1.Withdrawal, all []suspect) string {
	var b strings.Builder

	b.WriteString(key.Template + " ")

	for _, s := range all {
		b.WriteString(s.injection.String() + "@" + s.injection.Revision() + " ")
	}

	return b.String()
}
