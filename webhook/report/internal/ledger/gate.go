package ledger

import (
	"container/heap"
	"slices"
	"time"
)

// side is the entries of a namespace that were written before, or the others: a
// policy may refuse new events, and take writes of those that are there. With
// Options.Together, all entries are on the zero side.
type side struct {
	namespace string
	wrote     bool
}

func (l *Ledger) side(e *entry) side { return l.o.side(e.Owner.Namespace, e.wrote()) }

func (o Options) side(namespace string, wrote bool) side {
	if o.Together {
		return side{}
	}

	return side{namespace, wrote}
}

// gate holds back the entries of a side after a call for one of them was
// refused. From time to time it lets one through, the probe. It opens once a
// write for one of them works. So a namespace that refuses events for ever costs
// few calls, and delays no other (report.TestRefusedForEver).
//
// No two probes are in flight at the same time. The more gates there are, the
// longer each waits, so that all of them together cost a call a second at most.
// (One more call is made for a gate that is pulled.)
type gate struct {
	side
	waiting []*entry  // the first is the next probe
	probe   *entry    // nil: not in flight
	due     time.Time // the time of the next probe
	refused time.Time // the time of the last refusal
	strikes int       // refusals of probes, while writes of others worked
}

func (g *gate) at() time.Time { return g.due }

// The bounds of a gate's wait: 2⁷ s, up to twice as long by chance; and the
// longest that a sink may ask for.
const (
	maxStrikes = 7
	maxWait    = time.Minute
)

// Refuse is like Retry, after a call that was refused, or had no answer, for a
// reason that may hold for the whole namespace. All entries of the side wait
// then. The given wait holds for all of them, too.
func (l *Ledger) Refuse(h Entry, r Receipt, wait time.Duration, now time.Time) {
	e := h.entry
	g := l.gates[l.side(e)]
	switch {
	case g == nil:
		g = l.shut(e)
		l.doubt = l.doubt || !e.wrote()
		g.due = now.Add(max(l.spread(time.Second), min(wait, maxWait)))
		g.refused = now
	case g.probe == e:
		if l.worked.After(g.refused) {
			g.strikes = min(g.strikes+1, maxStrikes)
		}
		g.due = now.Add(max(l.pause(g), min(wait, maxWait)))
		g.refused = now
	}
	g, _ = l.retry(h, r, now)
	l.resume(g, now)
}

// shut makes a gate, after an entry was refused. The entries of its side wait
// behind it from now on.
func (l *Ledger) shut(e *entry) *gate {
	g := &gate{side: l.side(e), probe: e}
	l.gates[g.side] = g
	l.holdAll(g, &l.fresh)
	l.holdAll(g, &l.again)

	return g
}

// holdAll puts the entries of a queue behind a gate that are on its side.
func (l *Ledger) holdAll(g *gate, q *queue[*entry]) {
	rest := (*q)[:0]
	for _, e := range *q {
		if l.side(e) == g.side {
			l.hold(g, e)
		} else {
			rest = append(rest, e)
		}
	}
	clear((*q)[len(rest):])
	*q = rest
	heap.Init(q)
}

// hold puts an entry behind a gate. A newcomer there takes no room from other
// newcomers, as far as there is room.
func (l *Ledger) hold(g *gate, e *entry) {
	g.waiting = append(g.waiting, e)
	if e.newcomer() && l.held < l.o.MaxKeys {
		l.recent--
		l.held++
		e.held = true
	}
}

// pause is how long a gate waits after a probe was refused.
func (l *Ledger) pause(g *gate) time.Duration {
	if l.closing {
		return l.spread(time.Second)
	}

	return l.spread(max(time.Second<<g.strikes, time.Duration(len(l.gates))*time.Second))
}

// spread makes a time up to twice as long, by chance.
func (l *Ledger) spread(d time.Duration) time.Duration {
	return d + time.Duration(l.o.Random()*float64(d))
}

// probe takes the next entry that may go through a gate. It returns nil if there
// is none.
func (l *Ledger) probe(now time.Time) *entry {
	if l.probing != nil || !l.probes.due(now) {
		return nil
	}
	g := heap.Pop(&l.probes).(*gate)
	g.probe, g.waiting = g.waiting[0], g.waiting[1:]
	l.probing = g

	return g.probe
}

// resume schedules the next probe of a gate, not before the given time, after
// one came back without a write that worked.
func (l *Ledger) resume(g *gate, at time.Time) {
	switch {
	case g == nil:
	case len(g.waiting) == 0:
		l.release(g)
	default:
		if g.due.Before(at) {
			g.due = at
		}
		heap.Push(&l.probes, g)
	}
}

// found resumes a gate, after the owner of its probe was found. The entry of
// the owner is the next probe, if it waits there.
func (l *Ledger) found(g *gate, e *entry) {
	if g == nil {
		return
	}
	if i := slices.Index(g.waiting, e); i > 0 {
		g.waiting = slices.Insert(slices.Delete(g.waiting, i, i+1), 0, e)
	}
	l.resume(g, g.due)
}

// release opens a gate, and forgets it. The entries behind it go their usual way.
func (l *Ledger) release(g *gate) {
	delete(l.gates, g.side)
	if i := slices.Index(l.probes, g); i >= 0 {
		heap.Remove(&l.probes, i)
	}
	if l.probing == g {
		l.probing = nil
	}
	for _, e := range g.waiting {
		l.push(e, e.due)
	}
}

// pull is for a write that worked: perhaps an outage is over. It pulls one gate
// forward that knows of no write that worked since it was shut. If its probe
// works, this pulls the next.
func (l *Ledger) pull(now time.Time) {
	l.worked = now
	next := -1
	for i, g := range l.probes {
		if g.strikes == 0 && now.Sub(g.refused) >= time.Second && (next < 0 || g.due.Before(l.probes[next].due)) {
			next = i
		}
	}
	if next >= 0 && l.probes[next].due.After(now) {
		l.probes[next].due = now
		heap.Fix(&l.probes, next)
	}
}
