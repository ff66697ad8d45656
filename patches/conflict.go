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
		return fmt.Sprintf("%s already %s %s%s", d.matches[a.By].Title(), l.Kind.Verb(), it.Key, where)
	}

	return fmt.Sprintf("%s already %s %s", who, l.Kind.Verb(), it.Key)
}
