package patches

import (
	"fmt"

	"github.com/telltale-dev/telltale/patches/internal/edit"
)

// conflict says who has what an item would add.
func conflict(d *draft, l *edit.List, at edit.Place, it *edit.Item) string {
	who, where := "the pod", ""
	if l.Container != nil {
		who = fmt.Sprintf("container %q", l.Container.Name)
		where = " in " + who
	}

	if a, ok := l.Added(at); ok && a.By != podsOwn {
		return fmt.Sprintf("%s already %s %s%s", d.matches[a.By].title(), l.Kind.Verb(), it.Key, where)
	}

	return fmt.Sprintf("%s already %s %s", who, l.Kind.Verb(), it.Key)
}

// cure says in a sentence how a conflict ends: at its other side, or by the field that
// decides about conflicts of its kind.
func (in *Injection) cure(there string, k edit.Kind) string {
	field := "onConflict"
	if in.conflictFor[k] {
		field = "onConflictFor." + k.Field()
	}

	return there + ", or set " + field + " on the Injection."
}

func (p *plan) conflictText() string {
	more := ""
	if n := len(p.conflicts) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}

	return p.conflicts[0].what + more + ". " + p.conflicts[0].cure
}
