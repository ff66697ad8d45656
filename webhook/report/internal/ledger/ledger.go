// Package ledger counts the failures that are still owed to a sink.
//
// It is a pure state machine: no I/O, no goroutines, no clock, no locks. The
// caller adds failures, takes what is due, and says how it went:
//
//	l.Add(f, now)
//	for e, ok := l.Due(now); ok; e, ok = l.Due(now) {
//		switch receipt, err := write(e); {
//		case err == nil:
//			l.Settle(e, receipt, now)
//		default:
//			l.Retry(e, receipt, 0, now)
//		}
//	}
//
// A failure comes in under its pod's controller reference, mostly a
// ReplicaSet. Move books it on the object to report on, mostly a Deployment,
// and so do later failures under that reference. Where a key does not fit, its
// failures are folded into an entry for their namespace; a sample of their owners
// comes with it, to tell whether they are real.
//
// At every moment, added = reported + pending + unreported, and the memory held
// is bounded by the number of keys, not by the number of failures
// (TestHistories, TestAgainstModel).
package ledger

import (
	"cmp"
	"container/list"
	"time"

	"github.com/telltale-dev/telltale/internal/oneline"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// Options of a Ledger. The zero value works.
type Options struct {
	// MaxKeys bounds the newcomers: keys of which nothing was ever reported. As
	// many keys come on top of it for the others, references that were moved
	// included, so that invented owners do not drive out the real ones; a key
	// that owes nothing is forgotten for another, the least recently used
	// first. Beyond either bound, failures are folded into an entry for their
	// namespace and reason (a tenth of MaxKeys comes on top for these), then
	// into one for the reason, on the namespace Home (one a reason, on top of
	// that): attribution is lost then, counts never. Default: 10,000.
	MaxKeys int
	// First is how long the first failure of a key, or the first after a quiet
	// time, waits for others to be written with it. Default: 500 ms.
	First time.Duration
	// Every is the least time between two writes of a key. Default: 10 s.
	Every time.Duration
	// Follow is how long later failures under a reference that was moved are
	// booked on the same owner. Then the reference is due to be looked up
	// again: a ReplicaSet may be orphaned, and adopted by another Deployment.
	// While newcomers take all keys, it is followed for longer. Default: 1 h.
	Follow time.Duration
	// Home is the namespace that failures folded for all are reported on.
	// Default: "telltale-system".
	Home string
	// Random spreads retries: a number in [0, 1). Default: always 0.
	Random func() float64
}

func (o Options) withDefaults() Options {
	o.MaxKeys = cmp.Or(max(o.MaxKeys, 0), 10_000)
	o.First = cmp.Or(max(o.First, 0), 500*time.Millisecond)
	o.Every = cmp.Or(max(o.Every, 0), 10*time.Second)
	o.Follow = cmp.Or(max(o.Follow, 0), time.Hour)
	o.Home = cmp.Or(o.Home, "telltale-system")
	if o.Random == nil {
		o.Random = func() float64 { return 0 }
	}

	return o
}

// keys is how many there may be where one is opened.
func (o Options) keys() int { return 2 * o.MaxKeys }

// folding is how many keys there may be where one is opened for a namespace.
func (o Options) folding() int { return o.keys() + o.MaxKeys/10 }

// most is how many keys there may ever be.
func (o Options) most() int { return o.folding() + len(failure.Reasons()) }

// The limits of what an entry keeps of a failure, in bytes: reviews come from
// the network.
const (
	maxName = 253  // of an object of the API server
	maxText = 1024 // as an event's message
)

// Ledger is the account of what is owed. It is not safe for concurrent use.
type Ledger struct {
	o       Options
	entries map[Key]*entry
	spare   *list.List // of *entry: what owes nothing, least recently used first
	fresh   queue      // what owes and was never written
	again   queue      // what owes and was written before
	opened  uint64     // entries so far
	recent  int        // newcomers
	closing bool

	added      map[failure.Reason]int64
	reported   int64
	unreported map[Cause]int64
}

// New makes an empty Ledger.
func New(o Options) *Ledger {
	l := &Ledger{
		o:          o.withDefaults(),
		entries:    map[Key]*entry{},
		spare:      list.New(),
		added:      map[failure.Reason]int64{},
		unreported: map[Cause]int64{},
	}
	for _, r := range failure.Reasons() {
		l.added[r] = 0
	}
	for _, c := range Causes() {
		l.unreported[c] = 0
	}

	return l
}

// Add books one failure. It returns true where that puts something on the
// schedule, so that what Next says may have changed.
func (l *Ledger) Add(f failure.Failure, now time.Time) bool {
	f = l.bounded(f)
	e := l.account(Key{f.Owner, f.Reason, f.Injection}, now)
	l.added[f.Reason]++
	e.pod, e.text, e.last = f.Pod, f.Text, now

	return l.owe(e, 1, now, now.Add(l.o.First))
}

// bounded is the failure with nothing in it that could grow without bound.
func (l *Ledger) bounded(f failure.Failure) failure.Failure {
	if _, known := l.added[f.Reason]; !known {
		f.Reason = failure.Error
	}
	o := f.Owner
	if max(len(o.APIVersion), len(o.Kind), len(o.Namespace), len(o.Name), len(o.UID)) > maxName {
		f.Owner = failure.Ref{} // there is no such object
	}
	f.Pod, f.Text = short(f.Pod, maxName+1), short(f.Text, maxText)

	return f
}

// short is the string, cut if it is longer than n bytes.
func short(s string, n int) string {
	if len(s) <= n { // as all are; Add has no time to look at each byte
		return s
	}

	return oneline.Cut(s, n)
}

// owe adds n failures, the first of them of the given time, to an entry, and
// schedules it where nothing was owed before: at the given time, or later if
// its last write was not long enough ago.
func (l *Ledger) owe(e *entry, n int64, since, at time.Time) bool {
	if e.owed() == 0 || since.Before(e.since) {
		e.since = since
	}
	e.total += n
	if e.inFlight || e.queued {
		return false
	}
	l.busy(e)
	if next := e.written.Add(l.o.Every); e.wrote() && next.After(at) {
		at = next
	}
	if l.closing {
		at = since
	}
	l.push(e, at)

	return true
}

// Due takes the entry to work on next, if any is due. It is in flight, and not
// due again, until it is handed back to exactly one of Move, Settle, Retry and
// GiveUp.
//
// Entries that were never written come first, unless another has waited for
// Every longer.
func (l *Ledger) Due(now time.Time) (Entry, bool) {
	q := &l.again
	if l.fresh.due(now) && !(l.again.due(now) && l.again[0].due.Add(l.o.Every).Before(l.fresh[0].due)) {
		q = &l.fresh
	}
	if !q.due(now) {
		return Entry{}, false
	}
	e := q.pop()
	h := e.copy()
	e.inFlight, e.taken, e.sample = true, now, sample{}

	return h, true
}

// Next says when something is due next; false, if nothing is scheduled.
func (l *Ledger) Next() (time.Time, bool) {
	switch {
	case len(l.fresh) == 0 && len(l.again) == 0:
		return time.Time{}, false
	case len(l.fresh) == 0:
		return l.again[0].due, true
	case len(l.again) == 0 || l.fresh[0].due.Before(l.again[0].due):
		return l.fresh[0].due, true
	default:
		return l.again[0].due, true
	}
}

// Settle hands back an entry that was written: the sink holds r.Stored of its
// failures.
func (l *Ledger) Settle(h Entry, r Receipt, now time.Time) {
	e := l.back(h)
	l.book(e, r)
	e.written, e.tries = now, 0
	l.schedule(e, l.later(now))
}

// Retry hands back an entry after a write, or the look-up of its owner, failed
// for a reason that may pass. It is due again after a second,
// then two, then four, then five, each up to twice as long by chance; and not
// before the given wait, if that is longer (at most a minute).
//
// The receipt says what is known all the same: an earlier write without an
// answer may turn out to have worked.
func (l *Ledger) Retry(h Entry, r Receipt, wait time.Duration, now time.Time) {
	e := l.back(h)
	l.book(e, r)
	e.resample(h.Folded, l.o.Random)
	backoff := min(time.Second<<min(e.tries, 3), 5*time.Second)
	backoff += time.Duration(l.o.Random() * float64(backoff))
	e.tries++
	l.schedule(e, now.Add(max(backoff, min(wait, time.Minute))))
}

// GiveUp hands back an entry that can never be shown. All it owes is counted
// under the cause, and the entry is forgotten. But where none of some folded
// owners was confirmed, what was folded since is still owed. A namespace that is
// gone takes all its keys that owe nothing with it.
func (l *Ledger) GiveUp(h Entry, c Cause) {
	e := l.back(h)
	if c == NamespaceGone {
		l.forgetSpare(e.Owner.Namespace)
	}
	n := e.owed()
	if e.folded && !h.Resolved {
		n = h.Owed
	}
	l.unreported[c] += n
	if e.total -= n; e.owed() == 0 {
		l.drop(e)

		return
	}
	e.since = e.taken
	l.schedule(e, l.later(e.taken))
}

// Move hands back an entry whose owner is now known. All it owes is booked on
// the owner's entry, which becomes due at once if it was never written; so are
// later failures under the same reference, for as long as Follow says. A
// reference without a uid is not remembered: it may come to mean another object.
func (l *Ledger) Move(h Entry, owner failure.Ref, now time.Time) {
	e := l.back(h)
	e.tries = 0
	if owner == e.Owner {
		e.confirm()
		l.push(e, now)

		return
	}
	l.drop(e)
	to := Key{owner, e.Reason, e.Injection}
	l.unmove(to)
	t := l.account(to, now)
	t.confirm()
	if !e.last.Before(t.last) {
		t.pod, t.text, t.last = e.pod, e.text, e.last
	}
	l.owe(t, e.owed(), e.since, now)
	if e.Owner.UID != "" {
		l.remember(e.Key, to, now)
	}
}

// Hurry makes everything owed due at once, now and from now on, except that
// what fails is still retried with its backoff: the end is near.
func (l *Ledger) Hurry(now time.Time) {
	l.closing = true
	for _, q := range []queue{l.fresh, l.again} {
		for _, e := range q { // all the same, so each is still a heap
			e.due, e.tries = now, 0
		}
	}
}

// back takes an entry out of flight.
func (l *Ledger) back(h Entry) *entry {
	h.entry.inFlight = false

	return h.entry
}

// book notes what the sink is known to hold.
func (l *Ledger) book(e *entry, r Receipt) {
	e.receipt = r
	if n := min(r.Stored, e.total) - e.reported; n > 0 {
		if e.newcomer() {
			l.recent--
		}
		e.reported += n
		l.reported += n
		e.since = e.taken
	}
}

// later is when an entry that was worked on at a time is due again.
func (l *Ledger) later(t time.Time) time.Time {
	if l.closing {
		return t
	}

	return t.Add(l.o.Every)
}

// schedule puts an entry that came back where it belongs.
func (l *Ledger) schedule(e *entry, at time.Time) {
	if e.owed() > 0 {
		l.push(e, at)

		return
	}
	e.tries = 0
	l.idle(e)
}
