package ledger

import (
	"maps"
	"time"
)

// modelGate does what a gate does, slowly.
type modelGate struct {
	side
	due, refused time.Time
	strikes      int
	probe        *modelEntry
}

func (m *model) side(e *modelEntry) side { return m.o.side(e.Owner.Namespace, !e.written.IsZero()) }

// wait schedules an entry.
func (m *model) wait(e *modelEntry, at time.Time) {
	e.state, e.due = waiting, at
	if m.gates[m.side(e)] != nil && e.newcomer() && m.held() < m.o.MaxKeys {
		e.held = true
	}
}

func (m *model) held() (n int) {
	for _, e := range m.entries {
		if e.held {
			n++
		}
	}

	return n
}

// behind returns the entries that wait behind a gate.
func (m *model) behind(g *modelGate) map[Key]*modelEntry {
	behind := map[Key]*modelEntry{}
	for k, e := range m.entries {
		if e.state == waiting && m.side(e) == g.side {
			behind[k] = e
		}
	}

	return behind
}

func (m *model) probing() bool {
	for _, g := range m.gates {
		if g.probe != nil {
			return true
		}
	}

	return false
}

// probes returns the entries that may go through a gate now.
func (m *model) probes(now time.Time) map[Key]*modelEntry {
	may := map[Key]*modelEntry{}
	if m.probing() {
		return may
	}
	earliest := now
	for _, g := range m.gates {
		if g.due.After(earliest) {
			continue
		}
		if g.due.Before(earliest) {
			clear(may)
			earliest = g.due
		}
		maps.Copy(may, m.behind(g))
	}

	return may
}

// take notes that an entry is in flight.
func (m *model) take(e *modelEntry, now time.Time) {
	if g := m.gates[m.side(e)]; g != nil {
		g.probe = e
	} else if e.written.IsZero() {
		m.turn = m.doubt && !m.turn
	}
	e.state, e.taken, e.takenOwed = flying, now, len(e.owed)
}

// back returns the gate that the entry was a probe of.
func (m *model) back(e *modelEntry) *modelGate {
	g := m.gates[m.side(e)]
	if g == nil || g.probe != e {
		return nil
	}
	g.probe = nil

	return g
}

func (m *model) resume(g *modelGate, at time.Time) {
	switch {
	case g == nil:
	case len(m.behind(g)) == 0:
		delete(m.gates, g.side)
	case g.due.Before(at):
		g.due = at
	}
}

// refuse is retry, with a gate. If there is no room to hold all newcomers behind
// a new gate, the ledger chooses.
func (m *model) refuse(e *modelEntry, r Receipt, now time.Time, l *Ledger) {
	g := m.gates[m.side(e)]
	pause := time.Duration(0)
	switch {
	case g == nil:
		g = &modelGate{side: m.side(e), probe: e}
		m.gates[g.side] = g
		for k, e := range m.behind(g) {
			e.held = e.held || l.entries[k].held && e.newcomer()
		}
		pause = time.Second
		m.doubt = m.doubt || e.written.IsZero()
	case g.probe == e:
		if m.worked.After(g.refused) && g.strikes < 7 {
			g.strikes++
		}
		pause = max(time.Second<<g.strikes, time.Duration(len(m.gates))*time.Second)
	}
	if pause > 0 {
		g.refused, g.due = now, now.Add(pause*3/2)
	}
	g, _ = m.again(e, r, now)
	m.resume(g, now)
}

// pull pulls a gate forward. If several may be, the ledger chooses.
func (m *model) pull(now time.Time, l *Ledger) {
	m.worked = now
	var first []*modelGate
	for _, g := range m.gates {
		if g.probe != nil || g.strikes > 0 || now.Sub(g.refused) < time.Second {
			continue
		}
		if len(first) > 0 && g.due.Before(first[0].due) {
			first = nil
		}
		if len(first) == 0 || g.due.Equal(first[0].due) {
			first = append(first, g)
		}
	}
	for _, g := range first {
		if lg := l.gates[g.side]; g.due.After(now) && (len(first) == 1 || lg != nil && lg.due.Equal(now)) {
			g.due = now

			return
		}
	}
}
