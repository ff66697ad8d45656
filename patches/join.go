package patches

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/internal/edit"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// joining is how an Injection joins one env var with the one that is there.
type joining struct {
	value, separator string
	first, unique    bool
}

// joiningsOf returns the env vars of an Injection that are joined, by name; nil if
// there are none.
func joiningsOf(s *v1alpha1.InjectionSpec) (all map[string]*joining) {
	for _, e := range s.Env {
		if e.Join == nil {
			continue
		}

		if all == nil {
			all = map[string]*joining{}
		}

		j := &joining{value: e.Value, separator: e.Join.Separator, first: e.Join.First, unique: e.Join.Unique}
		j.value = j.missing("")
		all[e.Name] = j
	}

	return all
}

// missing is the part of the value that is not in another one.
func (j *joining) missing(value string) string {
	switch {
	case !j.unique && j.isIn(value):
		return ""
	case !j.unique:
		return j.value
	}

	var there, missing []string
	if value != "" {
		there = strings.Split(value, j.separator)
	}

	for element := range strings.SplitSeq(j.value, j.separator) {
		if !slices.Contains(there, element) && !slices.Contains(missing, element) {
			missing = append(missing, element)
		}
	}

	return strings.Join(missing, j.separator)
}

// isIn tells whether the value is there already, as one or more whole elements.
func (j *joining) isIn(value string) bool {
	if j.unique {
		return j.missing(value) == ""
	}

	s := j.separator

	return strings.Contains(s+value+s, s+j.value+s)
}

// with returns another value with this one, and how far the other has moved.
func (j *joining) with(value string) (joined string, moved int) {
	switch missing := j.missing(value); {
	case missing == "":
		return value, 0
	case value == "":
		return missing, 0
	case j.first:
		return missing + j.separator + value, len(missing) + len(j.separator)
	default:
		return value + j.separator + missing, 0
	}
}

// join plans to join a value with the one at a place.
func (p *plan) join(d *draft, list int, at edit.Place, it *edit.Item) {
	l, j := &d.edits.Lists[list], p.in.joins[it.Key]
	value, isLiteral := l.Literal(at)

	switch other := p.otherSeparator(d, l, it.Key); {
	case !isLiteral:
		p.obstruct(d, list, at, it, obstacle{
			conflict(d, l, at, it) + " with valueFrom, and nothing can be joined to that", p.in.cure("Give it a value there", edit.Env),
		})
	case other != nil:
		p.obstruct(d, list, at, it, obstacle{
			fmt.Sprintf("%s joins env %s in container %q with another separator", other.title(), it.Key, l.Container.Name), "Use the same separator in both.",
		})
	case j.isIn(value):
		if d.joined.isFirst(d, l, list, at, it.Key) {
			p.found = append(p.found, change{list: list, item: it, isJoin: true, size: len(value)})
		}
	case d.joined.mayBeOld(p.in, l, list, at, it.Key):
		p.obstruct(d, list, at, it, obstacle{
			fmt.Sprintf("the pod comes with the record of another revision, and env %s in container %q may still have its part", it.Key, l.Container.Name),
			"Take that part, and the annotations of telltale.dev, out of the pod's manifest.",
		})
	default:
		joined, moved := j.with(value)
		p.changes = append(p.changes, change{
			list: list, item: joinedItem(l, at, it.Key, joined), swap: true, at: at, isJoin: true, size: len(value), moved: moved,
		})
	}
}

// joinedItem is an env var with another value. The pod's own keeps its other fields.
func joinedItem(l *edit.List, at edit.Place, name, value string) *edit.Item {
	e := corev1.EnvVar{Name: name, Value: value}
	it := &edit.Item{Key: name, JSON: edit.Encode(e), Value: e}

	if l.IsOnOwn(at) {
		it.ValueJSON = edit.Encode(value)
	}

	return it
}

// otherSeparator returns an Injection of the draft that joins the same variable with
// another separator, or nil. The elements of the two could not be told apart later.
func (p *plan) otherSeparator(d *draft, l *edit.List, name string) *Injection {
	for i := range d.made {
		in := d.made[i].in
		if j := in.joins[name]; j != nil && j.separator != p.in.joins[name].separator && in.reachesList(l) {
			return in
		}
	}

	return nil
}

// isJoined tells whether the pod's own env var at a place is what this Injection
// sets, with what later Injections have joined to it: so the pod went through here
// before.
func (p *plan) isJoined(d *draft, l *edit.List, at edit.Place, it *edit.Item) bool {
	declared, ok := it.Value.(corev1.EnvVar)
	if !ok || !p.canJoin(it) || !slices.ContainsFunc(d.matches[p.match+1:], func(m Match) bool { return m.joins[it.Key] != nil }) {
		return false
	}

	own, isLiteral := l.Literal(at)
	if _, added := l.Added(at); added || !isLiteral {
		return false
	}

	value := declared.Value
	for _, m := range d.matches[p.match+1:] {
		if j := m.joins[it.Key]; j != nil && m.reachesList(l) && j.isIn(own) {
			value, _ = j.with(value)
		}
	}

	return value == own
}

// canJoin tells whether a later Injection adds to an env var of this one rather
// than takes its place.
func (p *plan) canJoin(it *edit.Item) bool {
	e, ok := it.Value.(corev1.EnvVar)

	return ok && e.ValueFrom == nil && p.in.joins[it.Key] == nil
}
