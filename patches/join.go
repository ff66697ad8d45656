package patches

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/internal/edit"
)

// join plans to join a value with the one at a place, or says why it can't.
func (p *plan) join(d *draft, list int, at edit.Place, it *edit.Item) *obstacle {
	l, j := &d.edits.Lists[list], p.in.joins[it.Key]
	value, isLiteral := l.Literal(at)

	switch other := p.otherSeparator(d, l, it.Key); {
	case !isLiteral:
		return &obstacle{
			conflict(d, l, at, it) + " with valueFrom, and nothing can be joined to that", p.in.cure("Give it a value there", edit.Env),
		}
	case other != nil:
		return &obstacle{
			fmt.Sprintf("%s joins env %s in container %q with another separator", other.Title(), it.Key, l.Container.Name), "Use the same separator in both.",
		}
	case j.isIn(value):
		if d.joined.isFirst(l, list, at, it.Key) {
			p.found = append(p.found, change{list: list, item: it, isJoin: true, size: len(value)})
		}
	case d.joined.mayBeOld(p.in, l, list, at, it.Key):
		return &obstacle{
			fmt.Sprintf("the pod comes with the record of another revision, and env %s in container %q may still have its part", it.Key, l.Container.Name),
			"Take that part, and the annotations of telltale.dev, out of the pod's manifest.",
		}
	default:
		joined, moved := j.with(value)
		p.changes = append(p.changes, change{
			list: list, item: joinedItem(l, at, it.Key, joined), swap: true, at: at, isJoin: true, size: len(value), moved: moved,
		})
	}

	return nil
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
