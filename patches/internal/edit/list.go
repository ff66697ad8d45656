package edit

import (
	"bytes"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/internal/raw"
)

// List is one array or map of the pod, and the changes to make in it: elements
// put before the pod's own, after them, or in place of one. Keys are unique.
type List struct {
	Kind Kind
	// Container is the one that the list belongs to, nil for a list of the pod
	// itself. IsInit is true for an init container's.
	Container *raw.Container
	IsInit    bool

	pod *raw.Pod
	// parent is the JSON pointer of the object that the list is in, with a
	// slash at the end.
	parent string

	index       map[string]Place // made when first asked
	own         int              // how many elements the pod has of its own
	first, last []Addition
	swapped     map[int]Addition
}

// Item is one element to add to a list.
type Item struct {
	// Key is unique in the list: a name, a mount path, or, for EnvFrom, the
	// whole element.
	Key string
	// JSON is the element, encoded.
	JSON []byte
	// Value is the element as declared: a corev1.EnvVar, a corev1.EnvFromSource, a
	// corev1.VolumeMount, a *corev1.Volume, a *corev1.Container, or the string of a
	// label or an annotation. Nil for an image pull secret.
	Value any
	// ValueJSON is the value of an env var, encoded, if only that is to be written
	// over the pod's own element, whose other fields stay. Else nil.
	ValueJSON []byte
}

// Addition is an item, and a number by which the caller knows where it comes
// from.
type Addition struct {
	*Item

	By int
}

// Position says where in a list a new element goes.
type Position int

// First is before the pod's own elements, Last is after them.
const (
	First Position = iota
	Last
)

// Place is where in a list a key stands.
type Place struct {
	part part
	i    int
}

type part int

const (
	podsOwn part = iota
	addedFirst
	addedLast
)

// Find returns the place of a key.
func (l *List) Find(key string) (Place, bool) {
	p, ok := l.places()[key]

	return p, ok
}

// places returns the place of every key.
func (l *List) places() map[string]Place {
	if l.index == nil {
		own := l.ownKeys()
		l.own = len(own)
		l.index = make(map[string]Place, len(own))

		for i, k := range own {
			l.index[k] = Place{podsOwn, i}
		}
	}

	return l.index
}

// Added returns the addition at a place, if there is one: what the pod has
// there of its own is none.
func (l *List) Added(p Place) (Addition, bool) {
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

// Literal returns the value of the env var at a place. It has none if it has a
// source.
func (l *List) Literal(p Place) (value string, ok bool) {
	if a, added := l.Added(p); added {
		e, isEnv := a.Value.(corev1.EnvVar)

		return e.Value, isEnv && e.ValueFrom == nil
	}

	e := l.Container.Env[p.i]

	return e.Value, len(e.ValueFrom) == 0 || string(e.ValueFrom) == "null"
}

// IsOnOwn tells whether the element at a place is the pod's own, with another value
// perhaps.
func (l *List) IsOnOwn(p Place) bool {
	a, added := l.Added(p)

	return p.part == podsOwn && (!added || a.ValueJSON != nil)
}

// KeepOwn takes an addition back from the place of an element of the pod's own.
func (l *List) KeepOwn(p Place) {
	if p.part == podsOwn {
		delete(l.swapped, p.i)
	}
}

// All returns every addition, in no order.
func (l *List) All() []Addition {
	all := slices.Concat(l.first, l.last)
	for _, a := range l.swapped {
		all = append(all, a)
	}

	return all
}

// Is tells whether the element at a place is what an item declares.
func (l *List) Is(p Place, it *Item) bool {
	if a, ok := l.Added(p); ok {
		return bytes.Equal(a.JSON, it.JSON)
	}

	return l.ownIs(p.i, it)
}

// Had tells whether the pod itself had at a place what an item declares.
func (l *List) Had(p Place, it *Item) bool { return p.part == podsOwn && l.ownIs(p.i, it) }

// Add puts a new key in the list. Those added First keep the order in which
// they are added, so that a later one can refer to an earlier one.
func (l *List) Add(a Addition, at Position) {
	if at == Last {
		l.places()[a.Key] = Place{addedLast, len(l.last)}
		l.last = append(l.last, a)

		return
	}

	l.places()[a.Key] = Place{addedFirst, len(l.first)}
	l.first = append(l.first, a)
}

// Swap puts an addition in place of the element that stands there.
func (l *List) Swap(p Place, a Addition) {
	l.places()

	switch {
	case p.part == addedFirst:
		l.first[p.i] = a
	case p.part == addedLast:
		l.last[p.i] = a
	case l.ownIs(p.i, a.Item): // the pod had it all along
		delete(l.swapped, p.i)
	default:
		if l.swapped == nil {
			l.swapped = map[int]Addition{}
		}

		l.swapped[p.i] = a
	}
}
