package ledger

import (
	"slices"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// maxNames is how many names of failures an entry keeps, so that all fit on one
// event. Older ones may be counted again by another process.
const maxNames = 20_000

// name notes the names of failures that several processes may find. Failures of
// folded entries are only counted.
func (e *entry) name(once ...string) {
	if e.folded {
		return
	}
	e.once = append(e.once, once...)
	if n := len(e.once) - maxNames; n > 0 {
		e.once = append([]string(nil), e.once[n:]...) // entries in flight have the old one
	}
}

// Owed returns the namespaces with failures of some reasons that are owed. "" is for
// those that can be of any.
func (l *Ledger) Owed(reasons ...failure.Reason) map[string]bool {
	owed := map[string]bool{}
	for k, e := range l.entries {
		switch {
		case e.owed() == 0 || !slices.Contains(reasons, k.Reason):
		case k.Owner == Namespace(l.o.Home):
			owed[""] = true // of folded keys
		default:
			owed[k.Owner.Namespace] = true
		}
	}

	return owed
}
