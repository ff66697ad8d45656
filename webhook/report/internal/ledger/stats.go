package ledger

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// Stats are a ledger's sums. The sum of Added is Reported, plus Pending, plus
// the sum of Unreported.
type Stats struct {
	Added      map[failure.Reason]int64
	Reported   int64
	Pending    int64
	Unreported map[Cause]int64
	// Keys is the number of keys, including references that were moved.
	Keys int
	// Since is when the first of the pending failures happened. Zero: none is
	// pending.
	Since time.Time
}

// Stats returns the sums of this moment. Its cost grows with the number of
// keys.
func (l *Ledger) Stats() Stats {
	s := Stats{
		Added: maps.Clone(l.added), Reported: l.reported,
		Pending: l.Pending(), Unreported: maps.Clone(l.unreported), Keys: len(l.entries),
	}
	for _, e := range l.entries {
		if e.owed() > 0 && (s.Since.IsZero() || e.since.Before(s.Since)) {
			s.Since = e.since
		}
	}

	return s
}

// Pending is the number of failures that are owed.
func (l *Ledger) Pending() int64 {
	n := -l.reported
	for _, added := range l.added {
		n += added
	}
	for _, unreported := range l.unreported {
		n -= unreported
	}

	return n
}

// Owing returns the entries that owe something, in no order.
func (l *Ledger) Owing() []Entry {
	var owing []Entry
	for _, e := range l.entries {
		if e.owed() > 0 {
			owing = append(owing, e.copy())
		}
	}

	return owing
}

// Check returns an error if the ledger contradicts itself. It is for tests.
func (l *Ledger) Check() error {
	var owed int64
	recent, held := 0, 0
	for k, e := range l.entries {
		owed += e.owed()
		if e.newcomer() {
			recent++
		}
		if e.held {
			held++
		}
		if err := e.check(k); err != nil {
			return fmt.Errorf("entry %v: %w", k, err)
		}
	}
	switch {
	case owed != l.Pending():
		return fmt.Errorf("entries owe %d, but added - reported - unreported = %d", owed, l.Pending())
	case recent != l.recent || recent > l.o.MaxKeys:
		return fmt.Errorf("%d newcomers, counted as %d, and the bound is %d", recent, l.recent, l.o.MaxKeys)
	case held != l.held || held > l.o.MaxKeys:
		return fmt.Errorf("%d entries are held, counted as %d, and the bound is %d", held, l.held, l.o.MaxKeys)
	case len(l.entries) > l.o.most()+l.o.MaxKeys:
		return fmt.Errorf("%d keys, but the bound is %d", len(l.entries), l.o.most()+l.o.MaxKeys)
	case len(l.fresh)+len(l.again)+l.spare.Len() > len(l.entries):
		return fmt.Errorf("%d entries, but more on the schedule or spare", len(l.entries))
	}

	return l.checkGates()
}

func (l *Ledger) checkGates() error {
	scheduled := len(l.fresh) + len(l.again)
	for s, g := range l.gates {
		scheduled += len(g.waiting)
		isDue := slices.Contains(l.probes, g)
		switch {
		case g.side != s || slices.ContainsFunc(g.waiting, func(e *entry) bool { return !e.queued || l.side(e) != s }):
			return fmt.Errorf("the gate of %v holds entries of others", s)
		case isDue == (g == l.probing) || isDue == (g.probe != nil) || isDue && len(g.waiting) == 0:
			return fmt.Errorf("the gate of %v is stuck", s)
		}
	}
	for _, e := range l.entries {
		if e.queued {
			scheduled--
		}
	}
	if scheduled != 0 || len(l.probes) > len(l.gates) {
		return fmt.Errorf("%d entries more on the schedule than there are, %d gates of %d", scheduled, len(l.probes), len(l.gates))
	}

	return nil
}

func (e *entry) check(k Key) error {
	states := 0
	for _, is := range []bool{e.queued, e.inFlight, e.spare != nil} {
		if is {
			states++
		}
	}
	switch {
	case e.Key != k:
		return fmt.Errorf("is filed under another key than its own, %v", e.Key)
	case states != 1:
		return fmt.Errorf("is in %d of three states", states)
	case min(e.owed(), e.reported, e.refused) < 0:
		return fmt.Errorf("total=%d reported=%d refused=%d", e.total, e.reported, e.refused)
	case e.spare != nil && e.owed() > 0:
		return fmt.Errorf("is spare, but owes %d", e.owed())
	case e.queued && e.owed() == 0:
		return fmt.Errorf("is scheduled, but owes nothing")
	case e.folded && !e.inFlight && !e.resolved && len(e.sample.owners) == 0:
		return fmt.Errorf("has no owners to look up")
	case e.sample.owners != nil && (e.resolved || !e.folded):
		return fmt.Errorf("has owners to look up for no reason")
	case e.movedTo != nil && e.total > 0:
		return fmt.Errorf("was moved, but counts")
	}

	return nil
}
