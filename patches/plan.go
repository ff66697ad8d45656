package patches

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// plan is what one Injection would change, and what is in its way. It is made
// before anything is changed, so that an Injection is applied whole or not at
// all.
type plan struct {
	in        *Injection
	changes   []change
	conflicts []string
	// excused are conflicts with what a later Injection overrides.
	excused []string
	reached bool // some container is to get env, envFrom or volumeMounts
}

// change adds an item to a list, or swaps it in at a place.
type change struct {
	list *list
	item *item
	swap bool
	at   place
}

// apply applies one Injection, or says why not.
func (e *edits) apply(m Match) *Failure {
	fail := func(c Cause, text string) *Failure { return &Failure{m.Injection, c, text} }

	switch {
	case m.err != nil:
		return fail(Invalid, m.err.Error()+". Correct the Injection.")
	case m.Undecided:
		return undecided(m)
	}

	p := e.plan(m.Injection)
	if !p.reached && m.forContainers() {
		return fail(Invalid, e.noContainer())
	}

	if len(p.conflicts) > 0 {
		return fail(Conflict, p.conflictText())
	}

	if text := e.unsafe(&p); text != "" {
		return fail(Unsafe, text)
	}

	if m.guarded {
		if f := e.forbidden(m, &p); f != nil {
			return f
		}
	}

	p.make()
	e.added += p.bytes()

	return nil
}

// undecided is the failure of an Injection for which the labels of the pod's
// namespace have to be known.
func undecided(m Match) *Failure {
	return &Failure{m.Injection, Undecided, "the labels of the pod's namespace are not known yet. Restart the pod."}
}

func (e *edits) plan(in *Injection) plan {
	p := plan{in: in}
	for i := range e.lists {
		l := &e.lists[i]
		if l.container != nil {
			if !in.reaches(l.container.Name, l.isInit) || l.isInit && e.isInjected(l.container.Name) {
				continue
			}

			p.reached = true
		}

		items := l.kind.items(in)
		for i := range items {
			e.planItem(&p, l, &items[i])
		}
	}

	if len(p.changes) > 0 { // so it was not applied before
		p.conflicts = append(p.conflicts, p.excused...)
	}

	return p
}

func (e *edits) planItem(p *plan, l *list, it *item) {
	at, found := l.find(it.key)

	switch {
	case !found:
		p.changes = append(p.changes, change{list: l, item: it})
	case l.is(at, it), p.in.onConflict == v1alpha1.KeepPod:
		// It is there, or what is there stays.
	case p.in.onConflict == v1alpha1.Override:
		p.changes = append(p.changes, change{list: l, item: it, swap: true, at: at})
	case e.overriddenLater(p.in, l, at):
		p.excused = append(p.excused, l.conflict(at, it))
	default:
		p.conflicts = append(p.conflicts, l.conflict(at, it))
	}
}

// bytes is no less than what the pod grows by.
func (p *plan) bytes() (n int) {
	for _, c := range p.changes {
		n += len(c.item.key) + len(c.item.json)
	}

	return n
}

func (p *plan) make() {
	for _, c := range p.changes {
		c.make(c.list, p.in)
	}
}

func (c change) make(l *list, by *Injection) {
	if c.swap {
		l.swap(c.at, addition{c.item, by})
	} else {
		l.add(addition{c.item, by})
	}
}

// forContainers tells whether the Injection has anything for containers.
func (in *Injection) forContainers() bool {
	return len(in.env)+len(in.envFrom)+len(in.mounts) > 0
}

// reaches tells whether env, envFrom and mounts go to a container.
func (in *Injection) reaches(name string, isInit bool) bool {
	if isInit && !in.ownInit {
		return false
	}

	named := func(glob string) bool {
		ok, err := path.Match(glob, name)

		return ok && err == nil
	}

	return (len(in.include) == 0 || slices.ContainsFunc(in.include, named)) && !slices.ContainsFunc(in.exclude, named)
}

// isInjected tells whether an init container of the pod is one that an
// Injection declares: there since an earlier pass, or swapped in by this one.
// Such a container is not the pod's own and gets nothing more.
func (e *edits) isInjected(name string) bool {
	at, ok := e.initContainers.find(name)
	if !ok || at.part != podsOwn {
		return true
	}

	if _, swapped := e.initContainers.added(at); swapped {
		return true
	}

	return slices.ContainsFunc(e.matches, func(m Match) bool {
		return slices.ContainsFunc(m.initContainers, func(it item) bool {
			return it.key == name && e.initContainers.ownIs(at.i, &it)
		})
	})
}

// overriddenLater tells whether the pod's own element at a place is what an
// Injection that comes after in, and overrides it, declares: so the pod went
// through here before, and in was applied to it.
func (e *edits) overriddenLater(in *Injection, l *list, at place) bool {
	if at.part != podsOwn {
		return false
	}

	after := slices.IndexFunc(e.matches, func(m Match) bool { return m.Injection == in }) + 1
	for _, m := range e.matches[after:] {
		if m.onConflict != v1alpha1.Override || l.container != nil && !m.reaches(l.container.Name, l.isInit) {
			continue
		}

		for _, it := range l.kind.items(m.Injection) {
			if p, ok := l.find(it.key); ok && p == at && l.ownIs(at.i, &it) {
				return true
			}
		}
	}

	return false
}

// conflict says who has what an item would add.
func (l *list) conflict(at place, it *item) string {
	who, where := "the pod", ""
	if l.container != nil {
		who = fmt.Sprintf("container %q", l.container.Name)
		where = " in " + who
	}

	if a, ok := l.added(at); ok {
		return fmt.Sprintf("%s already %s %s%s", a.by.title(), l.kind.verb(), it.key, where)
	}

	return fmt.Sprintf("%s already %s %s", who, l.kind.verb(), it.key)
}

func (p *plan) conflictText() string {
	more := ""
	if n := len(p.conflicts) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}

	return p.conflicts[0] + more + ". Remove it there, or set onConflict on the Injection."
}

func (e *edits) noContainer() string {
	var names []string
	for _, c := range e.pod.spec.Containers {
		names = append(names, strconv.Quote(c.Name))
	}

	return fmt.Sprintf("spec.containers includes none of the pod's containers (%s). Correct it, or narrow the selector.",
		strings.Join(names, ", "))
}
