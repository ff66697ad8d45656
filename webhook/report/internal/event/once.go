package event

import (
	"strings"

	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// Some failures can be found by several processes, one after the other: each has a
// name, failure.Once. Beside its count, a writer keeps the names of those that it
// counted on the event. It does not count those that another writer has named. As
// each write is made under the event's resourceVersion, none is counted twice
// (TestOnce).

// told are names on an event.
type told map[string]bool

func (t told) with(names string) told {
	if t == nil {
		t = told{}
	}
	for name := range strings.SplitSeq(names, ",") {
		t[name] = true
	}

	return t
}

// onceKey is the annotation that holds the names of a writer, by the key of its
// count.
func onceKey(key string) string {
	return failure.OncePrefix + strings.TrimPrefix(key, countPrefix)
}

// newest are the names of the failures that are on no earlier event.
func (m memo) newest(e ledger.Entry) []string {
	return e.Once[len(e.Once)-int(min(e.Total-m.base, int64(len(e.Once)))):]
}

// toldOf counts the failures that others have counted.
func (m memo) toldOf(e ledger.Entry) (n int64) {
	if len(m.told) == 0 {
		return 0
	}
	for _, name := range m.newest(e) {
		if m.told[name] {
			n++
		}
	}

	return n
}

// own returns the number of failures for our annotation, and their names.
func (m memo) own(e ledger.Entry) (n int64, names string) {
	var own []string
	for _, name := range m.newest(e) {
		if !m.told[name] {
			own = append(own, name)
		}
	}

	return e.Total - m.base - m.toldOf(e), strings.Join(own, ",")
}
