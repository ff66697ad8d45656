package patches

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/telltale-dev/telltale/patches/internal/edit"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
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

// Present tells how much of each match a pod has.
//
// Other webhooks can add containers after New, with env vars of the same names. The
// pod's record has the names of the containers that were there. Without them, one
// container that has all parts is enough.
//
// A part that is there with other content is Changed; it is Absent if the record
// leaves no doubt that the pod had all of it, and a field of it is not there now.
func Present(p *Pod, matches []Match) []Presence {
	d := newDraft(p, matches)
	d.injected = declared(matches)
	past := pastOf(p, matches)
	all := make([]Presence, len(matches))

	for i := range matches {
		v := view{draft: d, past: past, plan: plan{match: i, in: matches[i].Injection}}
		all[i] = v.present()
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

// view is a look at a pod for one Injection.
type view struct {
	*draft
	plan

	past    past
	changed bool
}

func (v *view) present() Presence {
	reached, whole, lacking, absent := false, false, "", ""

	for from, lists := 0, v.edits.Lists; from < len(lists); {
		to := from + 1
		for lists[from].Container != nil && lists[to].Container == lists[from].Container {
			to++
		}

		if l := &lists[from]; v.had(l) {
			text := v.lackingIn(from, to)

			switch {
			case l.Container == nil, v.knowsContainers():
				absent = cmp.Or(absent, text)
			case text == "":
				whole = true
			default:
				lacking = cmp.Or(lacking, text)
			}

			reached = reached || l.Container != nil
		}

		from = to
	}

	switch {
	case !reached && v.in.isForContainers():
		absent = cmp.Or(absent, "it includes none of the pod's containers")
	case !whole:
		absent = cmp.Or(absent, lacking)
	}

	return Presence{Absent: absent, Changed: v.changed}
}

// knowsContainers tells whether the record says which containers the Injection
// reached.
func (v *view) knowsContainers() bool {
	return v.past.containers != nil && v.past.applied[v.in.String()]
}

// had tells whether the Injection reached a list when it was applied, or would reach
// it now.
func (v *view) had(l *edit.List) bool {
	if l.Container == nil || !v.knowsContainers() {
		return isReached(v.draft, v.in, l)
	}

	return v.past.containers[l.Container.Name] && v.in.reachesList(l)
}

// lackingIn says in a sentence which is the first part that is not in some lists.
func (v *view) lackingIn(from, to int) string {
	for i := from; i < to; i++ {
		l := &v.edits.Lists[i]

		items := v.in.items[l.Kind]
		for j := range items {
			if text := v.lacking(i, &items[j]); text != "" {
				return text
			}
		}
	}

	return ""
}

// lacking says in a sentence that an item is not in a list, or a field of it is not.
func (v *view) lacking(list int, it *edit.Item) string {
	l := &v.edits.Lists[list]
	at, found := l.Find(it.Key)

	switch {
	case !found && v.isOfSameSource(l, it):
		v.changed = true

		return ""
	case !found:
		return lacks(l, it)
	case l.Kind == edit.Env && v.in.joins[it.Key] != nil:
		return v.lackingJoin(list, at, it)
	case l.Is(at, it):
		return ""
	case v.in.onConflict[l.Kind] == v1alpha1.KeepPod && l.Kind != edit.Volume:
		return "" // it may be the pod's own
	case v.isOverridden(v.draft, l, at, it), l.Kind == edit.Env && v.isJoined(v.draft, l, at, it):
		return "" // as it should be
	}

	if field := lostField(l, at, it); field != "" && v.past.known && v.past.applied[v.in.String()] && !v.mayBeOverridden(l, it.Key) {
		return lacks(l, it) + " with its " + field
	}

	v.changed = true

	return ""
}

// lackingJoin says in a sentence that a value is not joined to the one at a place.
func (v *view) lackingJoin(list int, at edit.Place, it *edit.Item) string {
	p := plan{match: v.match, in: v.in}
	p.addJoin(v.draft, list, at, it)

	if slices.ContainsFunc(p.changes, func(c change) bool { return c.isJoin }) {
		return fmt.Sprintf("container %q no longer has what was joined to env %s", v.edits.Lists[list].Container.Name, it.Key)
	}

	v.changed = v.changed || len(p.changes)+len(p.conflicts) > 0

	return ""
}

// mayBeOverridden tells whether another Injection overrides an element, whatever came
// of it then. Their order may have been edited since.
func (v *view) mayBeOverridden(l *edit.List, key string) bool {
	for i, m := range v.matches {
		if i == v.match || m.onConflict[l.Kind] != v1alpha1.Override || l.Container != nil && !m.reachesList(l) {
			continue
		}

		for j := range m.items[l.Kind] {
			if m.items[l.Kind][j].Key == key {
				return true
			}
		}
	}

	return false
}

// isOfSameSource tells whether a container has an envFrom of the same ConfigMap or
// Secret as an item, with other options, that no Injection declares.
func (v *view) isOfSameSource(l *edit.List, it *edit.Item) bool {
	if l.Kind != edit.EnvFrom {
		return false
	}

	declared := map[string]bool{}

	for _, m := range v.matches {
		for i := range m.items[edit.EnvFrom] {
			declared[m.items[edit.EnvFrom][i].Key] = true
		}
	}

	for _, e := range l.Container.EnvFrom {
		if sourceOf(e) == sourceOf(it.Value) && !declared[string(edit.Encode(e))] {
			return true
		}
	}

	return false
}

// lacks says that an item is not in a list.
func lacks(l *edit.List, it *edit.Item) string {
	who := "the pod"
	if l.Container != nil {
		who = fmt.Sprintf("container %q", l.Container.Name)
	}

	key := it.Key
	if l.Kind == edit.EnvFrom {
		key = "of it"
	}

	return strings.TrimSpace(fmt.Sprintf("%s no longer %s %s", who, l.Kind.Verb(), key))
}
