package patches

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/telltale-dev/telltale/patches/internal/edit"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// plan is what one Injection would change, and what is in its way. It is made
// before anything is changed, so that an Injection is applied whole or not at
// all.
type plan struct {
	match     int // its index among the matches
	in        *Injection
	changes   []change
	conflicts []string
	// excused are conflicts with what a later Injection overrides.
	excused []string
	reached bool // some container is to get env, envFrom or mounts
}

// change adds an item to a list, or swaps it in at a place.
type change struct {
	list int // among the lists of edits
	item *edit.Item
	swap bool
	at   edit.Place
}

// plan plans what an Injection would change in a draft.
func (d *draft) plan(match int) plan {
	in := d.matches[match].Injection
	p := plan{match: match, in: in}

	for i := range d.edits.Lists {
		l := &d.edits.Lists[i]
		if l.Container != nil {
			if !in.reaches(l.Container.Name, l.IsInit) || l.IsInit && d.isInjected(l.Container.Name) {
				continue
			}

			p.reached = true
		}

		items := in.items[l.Kind]
		for j := range items {
			d.planItem(&p, i, &items[j])
		}
	}

	if len(p.changes) > 0 { // so it was not applied before
		p.conflicts = append(p.conflicts, p.excused...)
	}

	return p
}

func (d *draft) planItem(p *plan, list int, it *edit.Item) {
	l := &d.edits.Lists[list]
	at, found := l.Find(it.Key)

	switch {
	case !found:
		p.changes = append(p.changes, change{list: list, item: it})
	case l.Is(at, it), p.in.onConflict == v1alpha1.KeepPod:
		// It is there, or the pod's own stays.
	case p.in.onConflict == v1alpha1.Override:
		p.changes = append(p.changes, change{list: list, item: it, swap: true, at: at})
	case d.isOverridden(p.match, l, at):
		p.excused = append(p.excused, d.conflict(l, at, it))
	default:
		p.conflicts = append(p.conflicts, d.conflict(l, at, it))
	}
}

// isInjected tells whether an init container of the pod is one that an
// Injection declares: there since an earlier pass, or swapped in by this one.
// Such a container is not the pod's own and gets nothing more.
func (d *draft) isInjected(name string) bool {
	initContainers := d.edits.PodList(edit.InitContainer)

	at, ok := initContainers.Find(name)
	if _, added := initContainers.Added(at); added || !ok {
		return true
	}

	if d.injected == nil {
		d.injected = d.alreadyInjected()
	}

	return d.injected[name]
}

// alreadyInjected returns the names of the pod's own init containers that are
// what an Injection declares.
func (d *draft) alreadyInjected() map[string]bool {
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

// isOverridden tells whether the pod's own element at a place is what an
// Injection declares that comes after one, and overrides it: so the pod went
// through here before, and the one was applied to it.
func (d *draft) isOverridden(match int, l *edit.List, at edit.Place) bool {
	for _, m := range d.matches[match+1:] {
		if m.onConflict != v1alpha1.Override || l.Container != nil && !m.reaches(l.Container.Name, l.IsInit) {
			continue
		}

		for i := range m.items[l.Kind] {
			it := &m.items[l.Kind][i]
			if p, ok := l.Find(it.Key); ok && p == at && l.Had(at, it) {
				return true
			}
		}
	}

	return false
}

// conflict says who has what an item would add.
func (d *draft) conflict(l *edit.List, at edit.Place, it *edit.Item) string {
	who, where := "the pod", ""
	if l.Container != nil {
		who = fmt.Sprintf("container %q", l.Container.Name)
		where = " in " + who
	}

	if a, ok := l.Added(at); ok {
		return fmt.Sprintf("%s already %s %s%s", d.matches[a.By].title(), l.Kind.Verb(), it.Key, where)
	}

	return fmt.Sprintf("%s already %s %s", who, l.Kind.Verb(), it.Key)
}

func (p *plan) conflictText() string {
	more := ""
	if n := len(p.conflicts) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}

	return p.conflicts[0] + more + ". Remove it there, or set onConflict on the Injection."
}

func (d *draft) noContainer() string {
	var names []string
	for _, c := range d.pod.Spec.Containers {
		names = append(names, strconv.Quote(c.Name))
	}

	return fmt.Sprintf("spec.containers includes none of the pod's containers (%s). Correct it, or narrow the selector.",
		strings.Join(names, ", "))
}

// bytes is no less than the number of bytes that the pod grows by.
func (p *plan) bytes() (n int) {
	for _, c := range p.changes {
		n += len(c.item.Key) + len(c.item.JSON)
	}

	return n
}

// has tells whether the plan changes a list of a kind, and how.
func (p *plan) has(lists []edit.List, is func(change, *edit.List) bool) bool {
	return slices.ContainsFunc(p.changes, func(c change) bool { return is(c, &lists[c.list]) })
}
