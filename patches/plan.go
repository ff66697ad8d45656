package patches

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/telltale-dev/telltale/patches/internal/edit"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// newPlan plans what an Injection would change in a draft.
func newPlan(d *draft, match int) plan {
	in := d.matches[match].Injection
	p := plan{match: match, in: in}

	for i := range d.edits.Lists {
		l := &d.edits.Lists[i]
		if !isReached(d, in, l) {
			continue
		}

		p.reached = p.reached || l.Container != nil

		items := in.items[l.Kind]
		for j := range items {
			p.add(d, i, &items[j])
		}
	}

	if len(p.changes) > 0 { // so it was not applied before
		p.conflicts = append(p.conflicts, p.excused...)
	}

	return p
}

// isReached tells whether a list is the pod's, or that of a container that gets parts
// of an Injection.
func isReached(d *draft, in *Injection, l *edit.List) bool {
	return l.Container == nil || in.reachesList(l) && !(l.IsInit && isInjected(d, l.Container.Name))
}

// add plans one item.
func (p *plan) add(d *draft, list int, it *edit.Item) {
	l := &d.edits.Lists[list]
	at, found := l.Find(it.Key)

	switch {
	case !found:
		p.changes = append(p.changes, change{list: list, item: it, isJoin: l.Kind == edit.Env && p.in.joins[it.Key] != nil})
	case l.Kind == edit.Env && p.in.joins[it.Key] != nil:
		p.addJoin(d, list, at, it)
	case l.Is(at, it):
		// It is there.
	case l.Kind == edit.Volume:
		// The app's mounts must not get our volume, nor ours the app's.
		p.conflicts = append(p.conflicts, obstacle{conflict(d, l, at, it) + ", with another source", "Rename the volume in the Injection."})
	default:
		p.obstruct(d, list, at, it, obstacle{conflict(d, l, at, it), p.in.cure("Remove it there", l.Kind)})
	}
}

// addJoin plans one value that is joined with the one at a place.
func (p *plan) addJoin(d *draft, list int, at edit.Place, it *edit.Item) {
	if o := p.join(d, list, at, it); o != nil {
		p.obstruct(d, list, at, it, *o)
	}
}

// obstruct deals with an obstacle at a place as onConflict says.
func (p *plan) obstruct(d *draft, list int, at edit.Place, it *edit.Item, o obstacle) {
	l := &d.edits.Lists[list]

	switch {
	case p.in.onConflict[l.Kind] == v1alpha1.KeepPod:
		// The pod's own stays.
	case p.in.onConflict[l.Kind] == v1alpha1.Override:
		p.changes = append(p.changes, change{list: list, item: it, swap: true, at: at})
	case p.isOverridden(d, l, at, it), l.Kind == edit.Env && p.isJoined(d, l, at, it):
		p.excused = append(p.excused, o)
	default:
		p.conflicts = append(p.conflicts, o)
	}
}

// isInjected tells whether an init container of the pod is one that an
// Injection declares: there since an earlier pass, or swapped in by this one.
// Such a container is not the pod's own and gets nothing more.
func isInjected(d *draft, name string) bool {
	initContainers := d.edits.PodList(edit.InitContainer)

	at, ok := initContainers.Find(name)
	if _, added := initContainers.Added(at); added || !ok {
		return true
	}

	if d.injected == nil {
		d.injected = alreadyInjected(d)
	}

	return d.injected[name]
}

// alreadyInjected returns the names of the pod's own init containers that are
// what an Injection declares.
func alreadyInjected(d *draft) map[string]bool {
	initContainers, names := d.edits.PodList(edit.InitContainer), map[string]bool{}

	for _, m := range d.matches {
		for i := range m.items[edit.InitContainer] {
			it := &m.items[edit.InitContainer][i]
			if at, ok := initContainers.Find(it.Key); ok && initContainers.Had(at, it) {
				names[it.Key] = true
			}
		}
	}

	return names
}

// isOverridden tells whether the pod's own element at a place is what a later
// Injection declares, and overrides: so the pod went through here before, and
// this Injection was applied to it.
func (p *plan) isOverridden(d *draft, l *edit.List, at edit.Place, declared *edit.Item) bool {
	for _, m := range d.matches[p.match+1:] {
		if m.onConflict[l.Kind] != v1alpha1.Override || l.Container != nil && !m.reachesList(l) {
			continue
		}

		for i := range m.items[l.Kind] {
			it := &m.items[l.Kind][i]
			if l.Kind == edit.Env && m.joins[it.Key] != nil && p.canJoin(declared) {
				continue
			}

			if own, ok := l.Find(it.Key); ok && own == at && l.Had(at, it) {
				return true
			}
		}
	}

	return false
}

func (p *plan) conflictText() string {
	more := ""
	if n := len(p.conflicts) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}

	return p.conflicts[0].what + more + ". " + p.conflicts[0].cure
}

// noContainer names the containers that an Injection reaches none of.
func noContainer(d *draft, in *Injection) string {
	var names []string

	for i := range d.edits.Lists {
		l := &d.edits.Lists[i]
		if l.Kind == edit.Env && in.isForKind(l.IsInit, l.Container.IsSidecar()) && !(l.IsInit && isInjected(d, l.Container.Name)) {
			names = append(names, strconv.Quote(l.Container.Name))
		}
	}

	return fmt.Sprintf("spec.containers includes none of the pod's containers (%s). Correct it, or narrow the selector.",
		strings.Join(names, ", "))
}
