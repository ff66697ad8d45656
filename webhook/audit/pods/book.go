package pods

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// book remembers the states of the pods that an Injection selects, and counts them.
type book struct {
	pods    map[types.UID]*entry
	tallies map[types.NamespacedName]*tally
	groups  groups
	pass    uint32
}

// entry is one pod. There may be 100,000, so it and stated are small.
type entry struct {
	states []stated
	group  *group // nil: no controller
	looks  uint64 // of what decides, from looksOf; 0: look again
	pass   uint32 // that has seen it last
	isOver bool   // it has ended, or is about to
}

// stated is the state of one Injection.
type stated struct {
	*tally

	state  State
	reason uint8 // of Unfit: its place in patches.Reasons
}

// tally counts the pods of one Injection by state.
type tally struct {
	name  types.NamespacedName
	pods  [states]int32
	unfit map[patches.Reason]*v1alpha1.WouldFail
	shown bool      // the counts were handed on, and have not changed since
	next  time.Time // not to be handed on before
}

func newBook() *book {
	return &book{pods: map[types.UID]*entry{}, tallies: map[types.NamespacedName]*tally{}, groups: newGroups()}
}

// begin begins a pass over all pods.
func (b *book) begin() uint32 {
	b.pass++

	return b.pass
}

// sweep forgets the pods that a pass has not seen.
func (b *book) sweep(pass uint32, forget func(types.UID, *entry)) {
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

// state is that of one Injection on a pod.
func (b *book) state(uid types.UID, name types.NamespacedName) (State, bool) {
	if e := b.pods[uid]; e != nil {
		for _, s := range e.states {
			if s.name == name {
				return s.state, true
			}
		}
	}

	return 0, false
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
func (b *book) put(uid types.UID, created time.Time, e entry) {
	b.groups.add(&e) // first: a group without pods is forgotten
	b.remove(uid)

	e.pass = b.pass
	b.pods[uid] = &e

	if e.group != nil && e.isWhole() && created.After(e.group.newest) {
		e.group.newest = created
	}

	for _, s := range e.states {
		s.add(s.state, 1)
		s.count(1)

		if s.state == Unsure {
			e.looks = 0
		}
	}
}

// change changes one state of a pod, if it is still there.
func (b *book) change(uid types.UID, name types.NamespacedName, to State) {
	e := b.pods[uid]
	if e == nil {
		return
	}

	was := *e
	was.states = slices.Clone(e.states)

	for i := range e.states {
		if s := &e.states[i]; s.name == name {
			s.add(s.state, -1)
			s.count(-1)
			s.add(to, 1)
			s.state = to
		}
	}

	b.groups.add(e)
	b.groups.remove(&was)
}

func (b *book) remove(uid types.UID) *entry {
	e := b.pods[uid]
	if e == nil {
		return nil
	}

	for _, s := range e.states {
		s.add(s.state, -1)
		s.count(-1)
	}

	b.groups.remove(e)
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

	c.Injected, c.Outdated, c.Failed, c.Missed = t.pods[Injected], t.pods[Outdated], t.pods[Failed], t.pods[Missed]
	c.Lost, c.Stuck = t.pods[Lost], t.pods[Stuck]
	c.Failed += t.pods[Unfit]
	c.WouldFail = t.wouldFail()

	return c
}

func nameOf(in *patches.Injection) types.NamespacedName {
	return types.NamespacedName{Namespace: in.Namespace, Name: in.Name}
}
