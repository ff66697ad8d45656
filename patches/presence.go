package patches

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/telltale-dev/telltale/patches/internal/edit"
)

// Presence tells how much of an Injection a pod that exists has. The zero value is
// all of it.
type Presence struct {
	// Absent says in a sentence which part is not there; "" if none is absent.
	Absent string
	// Changed is true if a part has another value than declared: an image of
	// another registry, say.
	Changed bool
}

// Present tells how much of each match a pod has, by the same plans as New.
//
// Other webhooks can add containers after New. So a container without any part of
// an Injection counts only if no container has all of them.
func Present(p *Pod, matches []Match) []Presence {
	d := newDraft(p, matches)
	d.injected = declared(matches)

	all := make([]Presence, len(matches))
	for i := range matches {
		all[i] = present(d, i)
	}

	return all
}

// declared are the names of all init containers that the matches add. The image of
// one that is on the pod may be changed, and it is ours all the same.
func declared(matches []Match) map[string]bool {
	names := map[string]bool{}

	for _, m := range matches {
		for i := range m.items[edit.InitContainer] {
			names[m.items[edit.InitContainer][i].Key] = true
		}
	}

	return names
}

func present(d *draft, match int) (found Presence) {
	in := d.matches[match].Injection
	reached, whole, bare := false, false, "" // bare: a container has no part

	for from, lists := 0, d.edits.Lists; from < len(lists); {
		to := from + 1
		for lists[from].Container != nil && lists[to].Container == lists[from].Container {
			to++
		}

		if isReached(d, in, &lists[from]) {
			parts, absent, text := compareAll(d, match, from, to, &found)
			ofContainer := lists[from].Container != nil
			reached = reached || ofContainer

			switch {
			case absent == 0:
				whole = whole || ofContainer
			case ofContainer && absent == parts:
				bare = cmp.Or(bare, text)
			default:
				found.Absent = cmp.Or(found.Absent, text)
			}
		}

		from = to
	}

	switch {
	case !reached && in.isForContainers():
		found.Absent = cmp.Or(found.Absent, "it includes none of the pod's containers")
	case !whole:
		found.Absent = cmp.Or(found.Absent, bare)
	}

	return found
}

// compareAll counts the parts for some lists and those that are not there, and says
// which is the first.
func compareAll(d *draft, match, from, to int, found *Presence) (parts, absent int, text string) {
	for i := from; i < to; i++ {
		n, first := compare(d, match, i, found)
		parts, absent, text = parts+len(d.matches[match].items[d.edits.Lists[i].Kind]), absent+n, cmp.Or(text, first)
	}

	return parts, absent, text
}

func isReached(d *draft, in *Injection, l *edit.List) bool {
	return l.Container == nil || in.reaches(l.Container.Name, l.IsInit) && !(l.IsInit && isInjected(d, l.Container.Name))
}

// compare counts the parts of one list that are not there, and says which is the
// first.
func compare(d *draft, match, list int, found *Presence) (absent int, text string) {
	l := &d.edits.Lists[list]
	p := plan{match: match, in: d.matches[match].Injection}

	items := p.in.items[l.Kind]
	for i := range items {
		p.add(d, list, &items[i])
	}

	found.Changed = found.Changed || len(p.conflicts) > 0 // a part that a later Injection overrides is as it should be

	for _, c := range p.changes {
		switch {
		case c.swap && !c.isJoin:
			found.Changed = found.Changed || !p.isOverridden(d, l, c.at, c.item)
		case text == "":
			text = lacks(l, c)

			fallthrough
		default:
			absent++
		}
	}

	return absent, text
}

// lacks says that what a change adds is not in a list.
func lacks(l *edit.List, c change) string {
	who := "the pod"
	if l.Container != nil {
		who = fmt.Sprintf("container %q", l.Container.Name)
	}

	key := c.item.Key

	switch {
	case l.Kind == edit.EnvFrom:
		key = "of it"
	case c.isJoin && c.swap:
		return fmt.Sprintf("%s no longer has what was joined to env %s", who, key)
	}

	return strings.TrimSpace(fmt.Sprintf("%s no longer %s %s", who, l.Kind.Verb(), key))
}
