package pods

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// book remembers the states of the pods that an Injection selects, and counts them.
type book struct {
	pods    map[types.UID]*entry
	tallies map[types.NamespacedName]*tally
	pass    int
}

// entry is one pod.
type entry struct {
	states []stated
	pass   int    // that has seen it last
	looks  uint64 // of what decides, from looksOf; 0: look again
}

// stated is the state of one Injection.
type stated struct {
	*tally

	state State
}

// tally counts the pods of one Injection by state.
type tally struct {
	name  types.NamespacedName
	pods  [states]int32
	shown bool      // the counts were handed on, and have not changed since
	next  time.Time // not to be handed on before
}

func newBook() book {
	return book{pods: map[types.UID]*entry{}, tallies: map[types.NamespacedName]*tally{}}
}

// begin begins a pass over all pods.
func (b *book) begin() int {
	b.pass++

	return b.pass
}

// sweep forgets the pods that a pass has not seen.
func (b *book) sweep(pass int, forget func(types.UID, *entry)) {
	for uid, e := range b.pods {
		if e.pass < pass {
			forget(uid, b.remove(uid))
		}
	}
}

func (b *book) get(uid types.UID) *entry { return b.pods[uid] }

// states are those of an entry, by Injection.
func (b *book) states(e *entry) map[types.NamespacedName]State {
	if e == nil {
		return nil
	}

	all := make(map[types.NamespacedName]State, len(e.states))
	for _, s := range e.states {
		all[s.name] = s.state
	}

	return all
}

// tally returns the counts of an Injection.
func (b *book) tally(name types.NamespacedName) *tally {
	t := b.tallies[name]
	if t == nil {
		t = &tally{name: name}
		b.tallies[name] = t
	}

	return t
}

// put replaces the states of a pod. One that is unsure is to be looked at again.
func (b *book) put(uid types.UID, states []stated, looks uint64) {
	b.remove(uid)

	for _, s := range states {
		s.add(s.state, 1)

		if s.state == Unsure {
			looks = 0
		}
	}

	b.pods[uid] = &entry{states, b.pass, looks}
}

// change changes one state of a pod, if it is still there.
func (b *book) change(uid types.UID, name types.NamespacedName, to State) {
	e := b.pods[uid]
	if e == nil {
		return
	}

	for i := range e.states {
		if s := &e.states[i]; s.name == name {
			s.add(s.state, -1)
			s.add(to, 1)
			s.state = to
		}
	}
}

func (b *book) remove(uid types.UID) *entry {
	e := b.pods[uid]
	if e == nil {
		return nil
	}

	for _, s := range e.states {
		s.add(s.state, -1)
	}

	delete(b.pods, uid)

	return e
}

func (t *tally) add(s State, n int32) {
	t.pods[s] += n
	t.shown = false
}

// counts are those for the status of an Injection.
func (t *tally) counts() (c v1alpha1.PodCounts) {
	for _, n := range t.pods {
		c.Selected += n
	}

	c.Injected, c.Outdated, c.Failed, c.Missed, c.Lost = t.pods[Injected], t.pods[Outdated], t.pods[Failed], t.pods[Missed], t.pods[Lost]

	return c
}

func nameOf(in *patches.Injection) types.NamespacedName {
	return types.NamespacedName{Namespace: in.Namespace, Name: in.Name}
}
