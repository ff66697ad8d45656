package ledger

import (
	"container/list"
	"time"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// Namespace refers to a namespace, to report on if there is no better object.
// An event on a namespace lies in it, so the reference names it twice. The uid
// is not known, and not needed.
func Namespace(name string) failure.Ref {
	return failure.Ref{APIVersion: "v1", Kind: "Namespace", Namespace: name, Name: name}
}

// account returns the entry to book a key's failures on: the key's own, or the
// one that it was moved to. If there is none, it opens one, or, if it does not
// fit, returns the one that the key is folded into. An entry of its own whose
// owner was found too long ago is looked up again.
func (l *Ledger) account(k Key, now time.Time) *entry {
	k, e, moved := l.find(k, now)
	if e == nil && l.welcome(k) && l.shrink(l.o.keys()) {
		e = l.open(&entry{Key: k})
	}
	if e == nil {
		e = l.fold(k)
	}
	switch {
	case moved:
		e.confirm(now)
	case e.folded && !e.resolved:
		e.sample.add(k.Owner, l.o.Random)
	case !e.folded && l.outdated(e.confirmed, now):
		e.resolved = false
	}

	return e
}

// fold returns the entry to fold a key's failures into, if the key does not
// fit.
func (l *Ledger) fold(k Key) *entry {
	if ns := k.Owner.Namespace; ns != "" {
		if e := l.foldOn(ns, k.Reason, l.o.folding()); e != nil {
			return e
		}
	}

	return l.foldOn(l.o.Home, k.Reason, l.o.most()) // one for each reason always fits
}

// foldOn returns the entry for failures of a reason that are reported on a
// namespace. If there is none, it opens one, or returns nil if none fits.
func (l *Ledger) foldOn(namespace string, r failure.Reason, limit int) *entry {
	k := Key{Owner: Namespace(namespace), Reason: r}
	if e := l.entries[k]; e != nil {
		return e
	}
	if !l.shrink(limit) {
		return nil
	}

	return l.open(&entry{Key: k, folded: true})
}

// welcome tells whether there is room for another newcomer.
func (l *Ledger) welcome(k Key) bool {
	shut := l.gates[l.o.side(k.Owner.Namespace, false)] != nil

	return l.recent < l.o.MaxKeys && (!shut || l.held < l.o.MaxKeys)
}

// outdated tells whether the owner that was found at a time must be looked up
// again. While newcomers take all keys, it need not: a flood of invented owners
// does not make known ones unknown.
func (l *Ledger) outdated(found, now time.Time) bool {
	return now.Sub(found) >= l.o.Follow && l.recent < l.o.MaxKeys
}

// find looks a key up, and follows it to the key that it was moved to, unless
// that is outdated.
func (l *Ledger) find(k Key, now time.Time) (_ Key, e *entry, moved bool) {
	e = l.entries[k]
	// This ends: a move never closes a circle, because a key that others are
	// moved to is not itself moved at that time.
	for e != nil && e.movedTo != nil {
		if l.outdated(e.since, now) {
			l.forget(e)

			return k, nil, moved
		}
		l.spare.MoveToBack(e.spare)
		e.due = now.Add(l.o.Forget)
		k, moved = *e.movedTo, true
		e = l.entries[k]
	}

	return k, e, moved
}

// shrink forgets spare entries, the least recently used first, until one more
// key fits under a limit. It returns false if no key fits even then.
func (l *Ledger) shrink(limit int) bool {
	for len(l.entries)-l.held >= limit {
		oldest := l.spare.Front()
		if oldest == nil {
			return false
		}
		l.forget(oldest.Value.(*entry))
	}

	return true
}

func (l *Ledger) open(e *entry) *entry {
	l.opened++
	e.id = l.opened
	l.entries[e.Key] = e
	if e.newcomer() {
		l.recent++
	}

	return e
}

// drop forgets an entry that is not on the schedule.
func (l *Ledger) drop(e *entry) {
	delete(l.entries, e.Key)
	l.known(e)
}

// known notes that an entry is no newcomer any more, and not held.
func (l *Ledger) known(e *entry) {
	switch {
	case e.held:
		e.held = false
		l.held--
	case e.newcomer():
		l.recent--
	}
}

// remember notes that a key is moved to another, if that fits.
func (l *Ledger) remember(k, to Key, now time.Time) {
	if l.shrink(l.o.keys()) {
		e := &entry{Key: k, movedTo: &to, since: now}
		l.entries[k] = e
		l.idle(e, now)
	}
}

// unmove forgets that a key was moved, if it was.
func (l *Ledger) unmove(k Key) {
	if e := l.entries[k]; e != nil && e.movedTo != nil {
		l.forget(e)
	}
}

// forgetSpare drops the entries of a namespace that owe nothing.
func (l *Ledger) forgetSpare(namespace string) {
	var next *list.Element
	for s := l.spare.Front(); s != nil; s = next {
		next = s.Next()
		if e := s.Value.(*entry); e.Owner.Namespace == namespace {
			l.forget(e)
		}
	}
}

// forget drops a spare entry.
func (l *Ledger) forget(e *entry) {
	l.busy(e)
	l.drop(e)
}

// tidy forgets the entries that owe nothing and were not used for Forget: their
// owners may be gone. While newcomers take all keys, it forgets none: a flood of
// invented owners does not make known ones unknown.
func (l *Ledger) tidy(now time.Time) {
	for l.recent < l.o.MaxKeys {
		oldest := l.spare.Front()
		if oldest == nil || oldest.Value.(*entry).due.After(now) {
			return
		}
		l.forget(oldest.Value.(*entry))
	}
}

// idle puts an entry among the spare ones, as the most recently used.
func (l *Ledger) idle(e *entry, now time.Time) {
	e.spare, e.due = l.spare.PushBack(e), now.Add(l.o.Forget)
}

// busy takes an entry out of the spare ones, if it is one.
func (l *Ledger) busy(e *entry) {
	if e.spare != nil {
		l.spare.Remove(e.spare)
		e.spare = nil
	}
}
