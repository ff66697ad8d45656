package patches

import (
	"bytes"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// list is one array or map of the pod, and what Injections do to it: elements
// put before the pod's own, after them, or in place of one. Keys are unique.
type list struct {
	kind kind
	pod  *Pod
	// container is nil for a list of the pod itself; isInit is true for one of
	// its init containers.
	container *container
	isInit    bool
	// parent is the JSON pointer of the object that it is in, with a slash at
	// the end.
	parent string

	index       map[string]place // made when first asked
	own         int              // how many elements the pod has of its own
	first, last []addition
	swapped     map[int]addition
}

// addition is an item and the Injection that it comes from.
type addition struct {
	*item
	by *Injection
}

// place is where in a list a key stands.
type place struct {
	part part
	i    int
}

type part int

const (
	podsOwn part = iota
	addedFirst
	addedLast
)

// path is the JSON pointer of the list.
func (l *list) path() string { return l.parent + l.kind.field() }

// find returns the place of a key.
func (l *list) find(key string) (place, bool) {
	if l.index == nil {
		own := l.ownKeys()
		l.own = len(own)
		l.index = make(map[string]place, len(own))

		for i, k := range own {
			l.index[k] = place{podsOwn, i}
		}
	}

	p, ok := l.index[key]

	return p, ok
}

// added returns what an Injection put at a place, if one did.
func (l *list) added(p place) (addition, bool) {
	switch p.part {
	case addedFirst:
		return l.first[p.i], true
	case addedLast:
		return l.last[p.i], true
	default:
		a, ok := l.swapped[p.i]

		return a, ok
	}
}

// is tells whether what stands at a place is what an item declares.
func (l *list) is(p place, it *item) bool {
	if a, ok := l.added(p); ok {
		return bytes.Equal(a.json, it.json)
	}

	return l.ownIs(p.i, it)
}

// add puts a new key in the list. Those added First keep the order in which
// they are added, so that a later one can refer to an earlier one.
func (l *list) add(a addition) {
	if l.kind.placement(a.by) == v1alpha1.Last {
		l.index[a.key] = place{addedLast, len(l.last)}
		l.last = append(l.last, a)

		return
	}

	l.index[a.key] = place{addedFirst, len(l.first)}
	l.first = append(l.first, a)
}

// swap puts a in the place of what stands there.
func (l *list) swap(p place, a addition) {
	switch {
	case p.part == addedFirst:
		l.first[p.i] = a
	case p.part == addedLast:
		l.last[p.i] = a
	case l.ownIs(p.i, a.item): // what the pod had all along
		delete(l.swapped, p.i)
	default:
		if l.swapped == nil {
			l.swapped = map[int]addition{}
		}

		l.swapped[p.i] = a
	}
}

// write appends the operations that turn the pod's list into this one.
func (l *list) write(b *builder) {
	if l.own == 0 {
		l.writeWhole(b)

		return
	}

	for i := range l.own {
		if a, ok := l.swapped[i]; ok {
			b.op("replace", l.pathOf(i, a.key), a.json)
		}
	}

	for i, a := range l.first {
		b.op("add", l.pathOf(i, a.key), a.json)
	}

	for i, a := range l.last {
		b.op("add", l.pathOf(len(l.first)+l.own+i, a.key), a.json)
	}
}

// writeWhole writes a list that the pod lacks, or has as null or empty: an
// operation on one element of it might not apply.
func (l *list) writeWhole(b *builder) {
	if len(l.first)+len(l.last) == 0 {
		return
	}

	value := []byte{'['}
	if l.kind.isMap() {
		value[0] = '{'
	}

	for _, additions := range [][]addition{l.first, l.last} {
		for _, a := range additions {
			if len(value) > 1 {
				value = append(value, ',')
			}

			if l.kind.isMap() {
				value = append(append(value, encode(a.key)...), ':')
			}

			value = append(value, a.json...)
		}
	}

	b.op("add", l.path(), append(value, value[0]+2)) // ']' and '}' follow '[' and '{' by two
}
