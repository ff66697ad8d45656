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
//			l.Refuse(e, receipt, 0, now)
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
	"container/heap"
	"container/list"
	"time"

	"github.com/telltale-dev/telltale/internal/oneline"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// The limits of the failure that an entry keeps, in bytes: reviews come from
// the network.
const (
	maxName = 253  // of an object of the API server
	maxText = 1024 // the limit of an event's message
	maxOnce = 64   // what names a pod
)

// Ledger is the account of the owed failures. It is not safe for concurrent use.
type Ledger struct {
	o       Options
	entries map[Key]*entry
	spare   *list.List    // of *entry: they owe nothing; the least recently used first
	fresh   queue[*entry] // entries that owe and were never written
	again   queue[*entry] // entries that owe and were written before
	gates   map[side]*gate
	probes  queue[*gate] // all gates, but one whose probe is in flight
	probing *gate        // this one; nil: none
	worked  time.Time    // when a write last worked
	doubt   bool         // since then, an entry was refused that was never written
	turn    bool         // in doubt: the newest was taken last
	opened  uint64       // how many entries were opened
	recent  int          // how many newcomers there are
	held    int          // how many entries are held
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
		gates:      map[side]*gate{},
		added:      map[failure.Reason]int64{},
		unreported: map[Cause]int64{},
	}
	for _, r := range l.o.Reasons {
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
	if f.Once != "" {
		e.name(f.Once)
	}

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
	f.Pod, f.Text, f.Once = short(f.Pod, maxName+1), short(f.Text, maxText), short(f.Once, maxOnce)

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
// Settle, Retry, Refuse and GiveUp.
//
// A probe of a gate comes first: these are few. Then entries come that were
// never written, unless another has waited for Every longer. In doubt, the oldest and the
// newest of these take turns: where most namespaces refuse events, each must be refused
// once before that is known, and a new failure does not wait for it
// (report.TestRefusedForEver).
func (l *Ledger) Due(now time.Time) (Entry, bool) {
	l.tidy(now)
	e := l.probe(now)
	if e == nil {
		e = l.first(now)
	}
	if e == nil {
		return Entry{}, false
	}
	h := e.copy()
	e.queued, e.inFlight, e.taken, e.sample = false, true, now, sample{}

	return h, true
}

// first takes the first entry of a queue that is due. It returns nil if there is
// none.
func (l *Ledger) first(now time.Time) *entry {
	q := &l.again
	if l.fresh.due(now) && !(l.again.due(now) && l.again[0].due.Add(l.o.Every).Before(l.fresh[0].due)) {
		q = &l.fresh
	}
	if !q.due(now) {
		return nil
	}
	if q == &l.fresh {
		if l.turn = l.doubt && !l.turn; l.turn {
			return l.newest(now)
		}
	}

	return heap.Pop(q).(*entry)
}

// newest takes the entry with the newest failure of those that were never written
// and are due. There is one.
func (l *Ledger) newest(now time.Time) *entry {
	at := 0
	for i, e := range l.fresh {
		if !e.due.After(now) && e.since.After(l.fresh[at].since) {
			at = i
		}
	}

	return heap.Remove(&l.fresh, at).(*entry)
}

// Next says when an entry is due next. It returns false if none is scheduled.
// While a probe is in flight, it does not know of others.
func (l *Ledger) Next() (next time.Time, ok bool) {
	earlier := func(at time.Time) {
		if !ok || at.Before(next) {
			next, ok = at, true
		}
	}
	if len(l.fresh) > 0 {
		earlier(l.fresh[0].due)
	}
	if len(l.again) > 0 {
		earlier(l.again[0].due)
	}
	if len(l.probes) > 0 && l.probing == nil {
		earlier(l.probes[0].due)
	}

	return next, ok
}

// Settle hands back an entry that was written: the sink holds r.Stored of its
// failures. If there is a gate before it, it opens.
func (l *Ledger) Settle(h Entry, r Receipt, now time.Time) {
	e, _ := l.back(h)
	l.book(e, r)
	if g := l.gates[l.side(e)]; g != nil {
		l.release(g)
	}
	l.pull(now)
	l.doubt, e.written, e.tries = false, now, 0
	l.schedule(e, l.later(now), now)
}

// Retry hands back an entry after a write, or the look-up of its owner, failed
// for a reason that may pass, and concerns this entry alone. It is due again after a second, then two, then
// four, then five, each up to twice as long by chance.
//
// The receipt counts even so: it may turn out that an earlier write without an
// answer worked.
func (l *Ledger) Retry(h Entry, r Receipt, now time.Time) {
	g, at := l.retry(h, r, now)
	l.resume(g, at)
}

// retry puts an entry that came back on the schedule, for the given time. If it
// was the probe of a gate, retry returns that, too.
func (l *Ledger) retry(h Entry, r Receipt, now time.Time) (_ *gate, at time.Time) {
	e, g := l.back(h)
	l.book(e, r)
	e.resample(h.Folded, l.o.Random)
	backoff := l.spread(min(time.Second<<min(e.tries, 3), 5*time.Second))
	e.tries++
	at = now.Add(backoff)
	l.schedule(e, at, now)

	return g, at
}

// GiveUp hands back an entry that can never be shown. All it owes is counted
// under the cause, and the entry is forgotten. But if the entry has folded
// owners and none was confirmed, the failures that were folded since are still
// owed. If the namespace is gone, all its keys that owe nothing are forgotten,
// too.
func (l *Ledger) GiveUp(h Entry, c Cause) {
	e, g := l.back(h)
	defer l.resume(g, e.taken)
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
	l.push(e, l.later(e.taken))
}

// Move hands back an entry after its owner was found. All it owes is booked on
// the owner's entry, which becomes due at once if it was never written. Later
// failures under the same reference are booked there, too, for as long as
// Follow says. A reference without a uid is not remembered: it may come to mean
// another object.
func (l *Ledger) Move(h Entry, owner failure.Ref, now time.Time) {
	e, g := l.back(h)
	e.tries = 0
	if owner == e.Owner {
		e.confirm(now)
		l.push(e, now)
		l.found(g, e)

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
	t.name(e.once[max(0, len(e.once)-int(e.owed())):]...)
	l.owe(t, e.owed(), e.since, now)
	l.found(g, t)
	if e.Owner.UID != "" {
		l.remember(e.Key, to, now)
	}
}

// Hurry is for the end: all owed failures become due at once, now and from now
// on. But an entry that fails is still retried with its backoff.
func (l *Ledger) Hurry(now time.Time) {
	l.closing = true
	// All get the same time, so each queue is still a heap.
	for _, e := range l.entries {
		if e.queued {
			e.due, e.tries = now, 0
		}
	}
	for _, g := range l.gates {
		g.due = now
	}
}

// back takes an entry out of flight. If it was the probe of a gate, back returns
// the gate, too.
func (l *Ledger) back(h Entry) (*entry, *gate) {
	e := h.entry
	e.inFlight = false
	g := l.gates[l.side(e)]
	if g == nil || g.probe != e {
		return e, nil
	}
	g.probe = nil
	if l.probing == g {
		l.probing = nil
	}

	return e, g
}

// book notes how much is known to be in the sink.
func (l *Ledger) book(e *entry, r Receipt) {
	e.receipt = r
	stored := max(0, min(r.Stored, e.total-e.refused)-e.reported)
	refused := max(0, min(r.Refused, e.total-e.reported-stored)-e.refused)
	if stored+refused == 0 {
		return
	}
	l.known(e)
	e.reported += stored
	l.reported += stored
	if e.refused += refused; refused > 0 {
		l.unreported[r.Why] += refused
	}
	e.since = e.taken
}

// later is when an entry is due again, if it was worked on at t. By chance it is
// up to a tenth of Every later: replicas that began to write an event at the same
// time do not go on so, and disturb each other.
func (l *Ledger) later(t time.Time) time.Time {
	if l.closing {
		return t
	}

	return t.Add(l.o.Every + time.Duration(l.o.Random()*float64(l.o.Every)/10))
}

// schedule puts an entry that came back on the schedule, or among the spare
// ones.
func (l *Ledger) schedule(e *entry, at, now time.Time) {
	if e.owed() > 0 {
		l.push(e, at)

		return
	}
	e.tries = 0
	l.idle(e, now)
}
