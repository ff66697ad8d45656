package ledger

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// TestAgainstModel takes random steps with a ledger, and with a model of it
// that is as simple as possible: no heaps, no lists, each owed failure on its
// own.
func TestAgainstModel(t *testing.T) {
	t.Parallel()
	const steps = 100_000
	for _, keys := range []int{1, 2, 5, 20, -1, -5, -20} {
		t.Run(fmt.Sprintf("%dKeys", keys), func(t *testing.T) {
			t.Parallel()
			o := Options{MaxKeys: max(keys, -keys), Together: keys < 0, Follow: 40 * time.Second, Forget: 20 * time.Second, Random: func() float64 { return 0.5 }}
			w := walk{
				t: t, rand: rand.New(rand.NewPCG(1, uint64(keys))), now: time.Unix(1_000_000, 0),
				ledger: New(o), model: newModel(o),
			}
			for i := range steps / 4 {
				w.step()
				w.compare(i)
				if t.Failed() {
					return
				}
			}
		})
	}
}

// walk takes the same steps with both.
type walk struct {
	t      *testing.T
	rand   *rand.Rand
	now    time.Time
	ledger *Ledger
	model  *model
	flying []Entry
}

func (w *walk) step() {
	switch n := w.rand.IntN(100); {
	case n < 45:
		f := w.failure()
		w.ledger.Add(f, w.now)
		w.model.add(f, w.now)
	case n < 60:
		w.now = w.now.Add(time.Duration(w.rand.IntN(2000)) * time.Millisecond)
	case n < 80:
		w.due()
	default:
		w.handBack()
	}
}

// failure is one of some 60 keys, under references that Move knows how to
// follow.
func (w *walk) failure() failure.Failure {
	kinds := []string{"ReplicaSet", "StatefulSet", "Pod"}
	f := failure.Failure{
		Reason: failure.Reasons()[w.rand.IntN(2)],
		Owner:  ref(fmt.Sprintf("%s/%d@%d", kinds[w.rand.IntN(3)], w.rand.IntN(5), w.rand.IntN(2))),
	}
	f.Once = fmt.Sprint(w.rand.Uint32())
	if w.rand.IntN(50) == 0 {
		f.Owner = failure.Ref{}
	}

	return f
}

func (w *walk) due() {
	w.model.tidy(w.now)
	e, ok := w.ledger.Due(w.now)
	if may := w.model.mayTake(w.now); ok != (len(may) > 0) {
		w.t.Errorf("Due gives %v, but the model has %d due", ok, len(may))
	} else if ok {
		m := may[e.Key()]
		if m == nil {
			w.t.Fatalf("Due gives %v, which is not among the first due", e.Key())
		}
		got := []any{e.Total, e.Owed, e.Resolved, e.Since}
		want := []any{m.total(), int64(len(m.owed)), m.resolved, m.since}
		if diff := cmp.Diff(want, got); diff != "" {
			w.t.Errorf("Due: total, owed, resolved, since: -want +got:\n%s", diff)
		}
		w.compareFolded(m, e)
		w.compareOnce(m, e)
		w.model.take(m, w.now)
		w.flying = append(w.flying, e)
	}
}

// compareOnce compares the names of the failures that are owed.
func (w *walk) compareOnce(m *modelEntry, e Entry) {
	if m.folded {
		return
	}
	var want []string
	for _, f := range m.owed {
		want = append(want, f.once)
	}
	got := e.Once[max(0, len(e.Once)-int(e.Owed)):]
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))); diff != "" {
		w.t.Errorf("Due: the names of the owed failures: -want +got:\n%s", diff)
	}
}

// compareFolded compares the owners to look up. If there are many, it does not
// matter which ones they are.
func (w *walk) compareFolded(m *modelEntry, e Entry) {
	if ask := m.folded && !m.resolved; ask != (len(e.Folded) > 0) {
		w.t.Errorf("%d owners to look up, and the model says %v", len(e.Folded), ask)
	}
	for i, o := range e.Folded {
		known := func(f owed) bool { return f.owner == o }
		if !slices.ContainsFunc(m.owed, known) || slices.Contains(e.Folded[:i], o) {
			w.t.Errorf("to look up: %v, among %v", o, e.Folded)
		}
	}
	if len(e.Folded) > maxSample {
		w.t.Errorf("%d owners to look up", len(e.Folded))
	}
}

func (w *walk) handBack() {
	if len(w.flying) == 0 {
		return
	}
	i := w.rand.IntN(len(w.flying))
	e := w.flying[i]
	w.flying = append(w.flying[:i], w.flying[i+1:]...)
	m := w.model.entries[e.Key()]

	switch n := w.rand.IntN(10); {
	case n == 0:
		cause := Causes()[w.rand.IntN(len(Causes()))]
		w.ledger.GiveUp(e, cause)
		w.model.giveUp(m, cause, e.Resolved)
	case n < 4: // possibly after the write had worked, for all or some of it
		r := w.receipt(m, e)
		if w.rand.IntN(2) == 0 {
			w.ledger.Retry(e, r, w.now)
			w.model.retry(m, r, w.now)
		} else {
			w.ledger.Refuse(e, r, 0, w.now)
			w.model.refuse(m, r, w.now, w.ledger)
		}
	case !e.Resolved:
		to := e.Owner
		if to.Kind != "StatefulSet" && to.Kind != "Namespace" {
			to = ref(fmt.Sprintf("%s/%d@%s", []string{"Deployment", "ReplicaSet"}[w.rand.IntN(2)], len(e.Owner.Name)%2, to.Namespace))
		}
		w.ledger.Move(e, to, w.now)
		w.model.move(m, to, w.now)
	default:
		r := Receipt{Stored: m.reported + e.Owed, Refused: m.refused, Why: Partial}
		if w.rand.IntN(4) == 0 {
			r = w.receipt(m, e)
		}
		w.ledger.Settle(e, r, w.now)
		w.model.settle(m, r, w.now, w.ledger)
	}
}

// receipt is that of a write that was taken in part, and refused in part.
func (w *walk) receipt(m *modelEntry, e Entry) Receipt {
	r := Receipt{Stored: m.reported, Refused: m.refused, Why: []Cause{Partial, RecordInvalid}[w.rand.IntN(2)]}
	if !e.Resolved {
		return r
	}
	if r.Stored += w.rand.Int64N(e.Owed + 3); w.rand.IntN(3) == 0 { // may be more than the entry has: the event may have been edited
		r.Refused += w.rand.Int64N(e.Owed + 3)
	}

	return r
}

func (w *walk) compare(step int) {
	if err := w.ledger.Check(); err != nil {
		w.t.Errorf("step %d: %v", step, err)
	}
	if want, got := w.model.stats(), w.ledger.Stats(); !reflect.DeepEqual(want, got) {
		w.t.Errorf("step %d: -model +ledger:\n%s", step, cmp.Diff(want, got))
	}
	got, ok := w.ledger.Next()
	if want := w.model.next(); ok == want.IsZero() || !got.Equal(want) {
		w.t.Errorf("step %d: next is %v, the model says %v", step, got, want)
	}
	for k, e := range w.ledger.entries {
		if m := w.model.entries[k]; m == nil || (m.movedTo != nil) != (e.movedTo != nil) {
			w.t.Errorf("step %d: the model does not have %v, or has it moved", step, k)
		}
	}
	if want := len(w.model.entries); want != len(w.ledger.entries) {
		w.t.Errorf("step %d: %d keys, the model has %d", step, len(w.ledger.entries), want)
	}
}

// Key is the entry's key.
func (e Entry) Key() Key { return Key{e.Owner, e.Reason, e.Injection} }

type state int

const (
	spare state = iota
	waiting
	flying
)

// model does what a Ledger does, slowly.
type model struct {
	o       Options
	entries map[Key]*modelEntry
	gates   map[side]*modelGate
	worked  time.Time
	doubt   bool
	turn    bool
	clock   int // of uses
	sums    Stats
}

type modelEntry struct {
	Key
	state    state
	owed     []owed
	reported int64
	refused  int64
	resolved bool
	folded   bool
	held     bool
	movedTo  *Key
	tries    int
	used     int

	due, since, taken, written, confirmed, forget time.Time
	takenOwed                                     int
}

// owed is one failure, and the owner that it came in under.
type owed struct {
	owner failure.Ref
	once  string
}

func newModel(o Options) *model {
	m := &model{o: o.withDefaults(), entries: map[Key]*modelEntry{}, gates: map[side]*modelGate{}}
	m.sums = New(o).Stats()

	return m
}

func (e *modelEntry) total() int64 { return e.reported + e.refused + int64(len(e.owed)) }

func (m *model) add(f failure.Failure, now time.Time) {
	m.sums.Added[f.Reason]++
	k := Key{f.Owner, f.Reason, f.Injection}
	e := m.find(k, now)
	if e.Key == k && !e.folded && m.outdated(e.confirmed, now) {
		e.resolved = false
	}
	m.owe(e, []owed{{f.Owner, f.Once}}, now, now.Add(m.o.First))
}

func (m *model) owe(e *modelEntry, failures []owed, since, at time.Time) {
	if len(e.owed) == 0 || since.Before(e.since) {
		e.since = since
	}
	e.owed = append(e.owed, failures...)
	if e.state == spare {
		if next := e.written.Add(m.o.Every); !e.written.IsZero() && next.After(at) {
			at = next
		}
		m.wait(e, at)
	}
}

func (m *model) find(k Key, now time.Time) *modelEntry {
	moved := false
	for e := m.entries[k]; e != nil; e = m.entries[k] {
		if e.movedTo == nil {
			if moved {
				e.resolved, e.confirmed = true, now
			}

			return e
		}
		if m.outdated(e.since, now) {
			delete(m.entries, k)

			break
		}
		m.use(e, now)
		k, moved = *e.movedTo, true
	}
	e := m.place(k)
	if moved {
		e.resolved, e.confirmed = true, now
	}

	return e
}

func (m *model) outdated(found, now time.Time) bool {
	return !now.Before(found.Add(m.o.Follow)) && m.newcomers() < m.o.MaxKeys
}

// place opens an entry for a key that has none, or finds the entry that the key
// is folded into.
func (m *model) place(k Key) *modelEntry {
	full := m.gates[m.o.side(k.Owner.Namespace, false)] != nil && m.held() >= m.o.MaxKeys
	if !full && m.newcomers() < m.o.MaxKeys && m.shrink(2*m.o.MaxKeys) {
		return m.open(k)
	}
	for _, on := range []struct {
		namespace string
		limit     int
	}{
		{k.Owner.Namespace, 2*m.o.MaxKeys + m.o.MaxKeys/10},
		{m.o.Home, 2*m.o.MaxKeys + m.o.MaxKeys/10 + len(failure.Reasons())},
	} {
		k := Key{Owner: Namespace(on.namespace), Reason: k.Reason}
		if e := m.entries[k]; e != nil && on.namespace != "" {
			return e
		}
		if on.namespace != "" && m.shrink(on.limit) {
			e := m.open(k)
			e.folded = true

			return e
		}
	}
	panic("the last one always fits")
}

func (m *model) newcomers() (n int) {
	for _, e := range m.entries {
		if e.newcomer() {
			n++
		}
	}

	return n
}

func (e *modelEntry) newcomer() bool {
	return e.reported+e.refused == 0 && !e.folded && !e.held && e.movedTo == nil
}

func (m *model) shrink(limit int) bool {
	for len(m.entries)-m.held() >= limit {
		var oldest *modelEntry
		for _, e := range m.entries {
			if e.state == spare && (oldest == nil || e.used < oldest.used) {
				oldest = e
			}
		}
		if oldest == nil {
			return false
		}
		delete(m.entries, oldest.Key)
	}

	return true
}

func (m *model) open(k Key) *modelEntry {
	m.entries[k] = &modelEntry{Key: k}

	return m.entries[k]
}

func (m *model) use(e *modelEntry, now time.Time) {
	m.clock++
	e.used, e.forget = m.clock, now.Add(m.o.Forget)
}

func (m *model) tidy(now time.Time) {
	for m.newcomers() < m.o.MaxKeys {
		old := slices.Collect(maps.Values(m.entries))
		old = slices.DeleteFunc(old, func(e *modelEntry) bool { return e.state != spare || e.forget.After(now) })
		if len(old) == 0 {
			return
		}
		delete(m.entries, old[0].Key)
	}
}

// mayTake returns the entries that may be taken next: all that are due first in
// the class that comes first.
func (m *model) mayTake(now time.Time) map[Key]*modelEntry {
	if probes := m.probes(now); len(probes) > 0 {
		return probes
	}
	fresh, again := m.first(now, false), m.first(now, true)
	for _, a := range again {
		for _, f := range fresh {
			if a.due.Add(m.o.Every).Before(f.due) {
				return again
			}
		}
	}
	switch {
	case len(fresh) == 0:
		return again
	case m.doubt && !m.turn:
		return m.newest(now)
	default:
		return fresh
	}
}

// newest returns those that were never written, are due, and have the newest failure.
func (m *model) newest(now time.Time) map[Key]*modelEntry {
	newest := map[Key]*modelEntry{}
	var since time.Time
	for _, e := range m.entries {
		if e.state != waiting || m.gates[m.side(e)] != nil || !e.written.IsZero() || e.due.After(now) || e.since.Before(since) {
			continue
		}
		if e.since.After(since) {
			clear(newest)
			since = e.since
		}
		newest[e.Key] = e
	}

	return newest
}

func (m *model) first(now time.Time, written bool) map[Key]*modelEntry {
	first := map[Key]*modelEntry{}
	earliest := now
	for _, e := range m.entries {
		if e.state != waiting || m.gates[m.side(e)] != nil || e.written.IsZero() == written || e.due.After(earliest) {
			continue
		}
		if e.due.Before(earliest) {
			clear(first)
			earliest = e.due
		}
		first[e.Key] = e
	}

	return first
}

func (m *model) next() (next time.Time) {
	for _, e := range m.entries {
		if e.state == waiting && m.gates[m.side(e)] == nil && (next.IsZero() || e.due.Before(next)) {
			next = e.due
		}
	}
	for _, g := range m.gates {
		if !m.probing() && (next.IsZero() || g.due.Before(next)) {
			next = g.due
		}
	}

	return next
}

func (m *model) settle(e *modelEntry, r Receipt, now time.Time, l *Ledger) {
	m.back(e)
	delete(m.gates, m.side(e))
	m.pull(now, l)
	m.doubt, e.written, e.tries = false, now, 0
	m.book(e, r, now.Add(m.o.Every*21/20), now)
}

func (m *model) retry(e *modelEntry, r Receipt, now time.Time) {
	g, at := m.again(e, r, now)
	m.resume(g, at)
}

func (m *model) again(e *modelEntry, r Receipt, now time.Time) (_ *modelGate, at time.Time) {
	backoff := []time.Duration{1500e6, 3000e6, 6000e6, 7500e6}[min(e.tries, 3)]
	e.tries++
	g := m.back(e)
	m.book(e, r, now.Add(backoff), now)

	return g, now.Add(backoff)
}

func (m *model) book(e *modelEntry, r Receipt, next, now time.Time) {
	for e.reported < r.Stored && len(e.owed) > 0 {
		e.owed = e.owed[1:]
		e.reported++
		m.sums.Reported++
		e.since, e.held = e.taken, false
	}
	for e.refused < r.Refused && len(e.owed) > 0 {
		e.owed = e.owed[1:]
		e.refused++
		m.sums.Unreported[r.Why]++
		e.since, e.held = e.taken, false
	}
	if len(e.owed) > 0 {
		m.wait(e, next)
	} else {
		e.state, e.tries = spare, 0
		m.use(e, now)
	}
}

func (m *model) giveUp(e *modelEntry, c Cause, resolved bool) {
	for k, o := range m.entries {
		if c == NamespaceGone && o.state == spare && k.Owner.Namespace == e.Owner.Namespace {
			delete(m.entries, k)
		}
	}
	n := len(e.owed)
	if e.folded && !resolved {
		n = e.takenOwed
	}
	m.sums.Unreported[c] += int64(n)
	e.owed, e.since = e.owed[n:], e.taken
	g := m.back(e)
	if len(e.owed) > 0 {
		m.wait(e, e.taken.Add(m.o.Every*21/20))
	} else {
		delete(m.entries, e.Key)
	}
	m.resume(g, e.taken)
}

func (m *model) move(e *modelEntry, owner failure.Ref, now time.Time) {
	g := m.back(e)
	if owner == e.Owner {
		e.resolved, e.confirmed, e.tries = true, now, 0
		m.wait(e, now)
		m.resume(g, time.Time{})

		return
	}
	delete(m.entries, e.Key)
	to := Key{owner, e.Reason, e.Injection}
	if t := m.entries[to]; t != nil && t.movedTo != nil {
		delete(m.entries, to)
	}
	t := m.find(to, now)
	t.resolved, t.confirmed = true, now
	m.owe(t, e.owed, e.since, now)
	m.resume(g, time.Time{})
	if e.Owner.UID != "" && m.shrink(2*m.o.MaxKeys) {
		sign := m.open(e.Key)
		sign.movedTo, sign.since = &to, now
		m.use(sign, now)
	}
}

func (m *model) stats() Stats {
	s := m.sums
	s.Keys = len(m.entries)
	for _, e := range m.entries {
		s.Pending += int64(len(e.owed))
		if len(e.owed) > 0 && (s.Since.IsZero() || e.since.Before(s.Since)) {
			s.Since = e.since
		}
	}

	return s
}
