// Package ledger counts the failures that are still owed to a sink.
//
// It is a pure state machine: no I/O, no goroutines, no clock, no locks. The
// caller adds failures, takes an entry that is due, and says how the write
// went:
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
// A failure comes in under its pod's controller reference, mostly a ReplicaSet.
// Move books it on the object to report on, mostly a Deployment, and so it does
// with later failures under that reference. If a key does not fit, its failures
// are folded into an entry for their namespace. The entry has a sample of their
// owners, to find out whether they exist.
//
// At every moment, added = reported + pending + unreported. The number of keys
// limits the memory, and the number of failures does not matter (TestHistories,
// TestAgainstModel).
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
	// MaxKeys limits the newcomers: keys without any reported failure.
	// There may be as many other keys besides, references that were moved
	// included; so invented owners do not drive out real ones. If a new key does
	// not fit, the least recently used key that owes nothing is forgotten. If it
	// still does not fit, its failures are folded into an entry for their
	// namespace and reason (there may be a tenth of MaxKeys more of these), or
	// else into one for the reason, on the namespace Home (one more for each
	// reason). Folding loses the owner, but never a count. Default: 10,000.
	MaxKeys int
	// First is how long the first failure of a key, or the first after a quiet
	// time, waits for more, to be written with them. Default: 500 ms.
	First time.Duration
	// Every is the least time between two writes of a key. Default: 10 s.
	Every time.Duration
	// Follow is how long later failures under a reference are booked on the owner
	// that was found. Then the reference is looked up again: a ReplicaSet may be
	// orphaned, and adopted by another Deployment. While newcomers take all keys,
	// it is followed for longer. Default: 1 h.
	Follow time.Duration
	// Home is the namespace to report on for failures that are folded for all
	// namespaces. Default: "telltale-system".
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

// keys is how many keys there may be when an ordinary one is opened.
func (o Options) keys() int { return 2 * o.MaxKeys }

// folding is how many keys there may be when one is opened for a namespace.
func (o Options) folding() int { return o.keys() + o.MaxKeys/10 }

// most is how many keys there may ever be.
func (o Options) most() int { return o.folding() + len(failure.Reasons()) }

// The limits of the failure that an entry keeps, in bytes: reviews come from
// the network.
const (
	maxName = 253  // of an object of the API server
	maxText = 1024 // the limit of an event's message
)

// Ledger is the account of the owed failures. It is not safe for concurrent use.
type Ledger struct {
	o       Options
	entries map[Key]*entry
	spare   *list.List // of *entry: they owe nothing; the least recently used first
	fresh   queue      // entries that owe and were never written
	again   queue      // entries that owe and were written before
	opened  uint64     // how many entries were opened
	recent  int        // how many newcomers there are
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

// Add books one failure. It returns true if an entry was put on the schedule,
// so that the answer of Next may have changed.
func (l *Ledger) Add(f failure.Failure, now time.Time) bool {
	f = l.bounded(f)
	e := l.account(Key{f.Owner, f.Reason, f.Injection}, now)
	l.added[f.Reason]++
	e.revision, e.pod, e.text, e.last = f.Revision, f.Pod, f.Text, now

	return l.owe(e, 1, now, now.Add(l.o.First))
}

// bounded returns the failure without anything that could grow without limit.
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
	if len(s) <= n { // nearly all are; Add has no time to look at each byte
		return s
	}

	return oneline.Cut(s, n)
}

// owe adds n failures to an entry; the first of them happened at the time
// since. If the entry owed nothing before, owe schedules it: for the time at,
// or later if the last write was not long enough ago.
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

// Due takes the entry to work on next, if any is due. The entry is then in
// flight, and not due again, until it is handed back to exactly one of Move,
// Settle, Retry and GiveUp.
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

// Next says when an entry is due next. It returns false if none is scheduled.
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
// for a reason that may pass. It is due again after a second, then two, then
// four, then five, each up to twice as long by chance. If the given wait is
// longer, it is not due before that (at most a minute).
//
// The receipt counts even so: it may turn out that an earlier write without an
// answer worked.
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
// under the cause, and the entry is forgotten. But if the entry has folded
// owners and none was confirmed, the failures that were folded since are still
// owed. If the namespace is gone, all its keys that owe nothing are forgotten,
// too.
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

// Move hands back an entry after its owner was found. All it owes is booked on
// the owner's entry, which becomes due at once if it was never written. Later
// failures under the same reference are booked there, too, for as long as
// Follow says. A reference without a uid is not remembered: it may come to mean
// another object.
func (l *Ledger) Move(h Entry, owner failure.Ref, now time.Time) {
	e := l.back(h)
	e.tries = 0
	if owner == e.Owner {
		e.confirm(now)
		l.push(e, now)

		return
	}
	l.drop(e)
	to := Key{owner, e.Reason, e.Injection}
	l.unmove(to)
	t := l.account(to, now)
	t.confirm(now)
	if !e.last.Before(t.last) {
		t.revision, t.pod, t.text, t.last = e.revision, e.pod, e.text, e.last
	}
	l.owe(t, e.owed(), e.since, now)
	if e.Owner.UID != "" {
		l.remember(e.Key, to, now)
	}
}

// Hurry is for the end: all owed failures become due at once, now and from now
// on. But an entry that fails is still retried with its backoff.
func (l *Ledger) Hurry(now time.Time) {
	l.closing = true
	for _, q := range []queue{l.fresh, l.again} {
		for _, e := range q { // all get the same time, so each queue is still a heap
			e.due, e.tries = now, 0
		}
	}
}

// back takes an entry out of flight.
func (l *Ledger) back(h Entry) *entry {
	h.entry.inFlight = false

	return h.entry
}

// book notes how much is known to be in the sink.
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

// later is when an entry is due again, if it was worked on at t.
func (l *Ledger) later(t time.Time) time.Time {
	if l.closing {
		return t
	}

	return t.Add(l.o.Every)
}

// schedule puts an entry that came back on the schedule, or among the spare
// ones.
func (l *Ledger) schedule(e *entry, at time.Time) {
	if e.owed() > 0 {
		l.push(e, at)

		return
	}
	e.tries = 0
	l.idle(e)
}
