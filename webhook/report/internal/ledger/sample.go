package ledger

import (
	"slices"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// maxSample is how many owners a sample has. Each may cost a look-up every time
// the entry is due.
const maxSample = 8

// sample is some of the owners of the failures that were folded into an entry.
// Each owner is as likely to be in it as any other.
type sample struct {
	owners []failure.Ref
	seen   int // owners that were seen, and were not in it at the time
}

func (s *sample) add(o failure.Ref, random func() float64) {
	if slices.Contains(s.owners, o) {
		return
	}
	s.seen++
	if len(s.owners) < maxSample {
		s.owners = append(s.owners, o)
	} else if i := int(random() * float64(s.seen)); i < maxSample {
		s.owners[i] = o
	}
}

// resample puts back owners that could not be looked up, beside the owners that
// were folded since.
func (e *entry) resample(owners []failure.Ref, random func() float64) {
	if e.resolved || len(owners) == 0 {
		return
	}
	since := e.sample.owners
	e.sample = sample{owners: owners, seen: len(owners)}
	for _, o := range since {
		e.sample.add(o, random)
	}
}
