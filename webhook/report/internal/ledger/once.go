package ledger

import "github.com/telltale-dev/telltale/webhook/failure"

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

// Owes tells whether failures of a reason are owed.
func (l *Ledger) Owes(r failure.Reason) bool {
	for k, e := range l.entries {
		if k.Reason == r && e.owed() > 0 {
			return true
		}
	}

	return false
}
