package event

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// countPrefix starts the keys of the annotations that hold counts: one for each
// writer, and one that sums up writers of long ago. The value is the count, and
// when it was last written: "37 2026-11-22T03:21:00Z".
const (
	countPrefix = "count.telltale.dev/"
	foldedKey   = countPrefix + "folded"
)

// If an event has more than foldMore annotations of writers, old ones are
// folded into one: those that were not written for foldAfter. A writer that is
// still alive does no harm: it starts another count, for later failures. (If
// its last answer was lost, and foldAfter has passed since, it would count the
// failures of that write twice.)
const (
	foldMore  = 16
	foldAfter = time.Hour
)

// tally is the content of an event, as one writer sees it.
type tally struct {
	mine   int64
	there  bool // mine exists
	others int64
	old    []string // keys to fold
	folded int64    // the count of the folded annotation, with the old ones
	told   told     // the failures that others have counted by name
}

// read reads an event's annotations. Values that are not ours are left alone
// and count nothing.
func read(ev *corev1.Event, key string, now time.Time) tally {
	var t tally
	var old int64
	writers := 0
	for k, v := range ev.Annotations {
		if strings.HasPrefix(k, failure.OncePrefix) && k != onceKey(key) {
			t.told = t.told.with(v)
		}
		if !strings.HasPrefix(k, countPrefix) {
			continue
		}
		n, at, err := parse(v)
		if err != nil {
			continue
		}
		if k == key {
			t.mine, t.there = n, true

			continue
		}
		t.others = add(t.others, n)
		switch {
		case k == foldedKey:
			t.folded = n
		case now.Sub(at) > foldAfter:
			t.old, old = append(t.old, k), add(old, n)
			writers++
		default:
			writers++
		}
	}
	if writers < foldMore {
		t.old = nil
	}
	if len(t.old) > 0 {
		t.folded = add(t.folded, old)
	}

	return t
}

// memo is what a writer knows about the event of an entry since its last call.
type memo struct {
	looked  bool   // the event was read since it was last created
	shared  bool   // another process wrote it between our last two calls
	version string // the event's resourceVersion; empty: no event is known
	stored  int64  // how many of the entry's failures are on events
	base    int64  // how many of these are on an earlier event, or folded into another count
	others  int64  // the sum of all other writers' counts on the event
	told    told   // the failures that other writers have counted by name
	last    time.Time
}

// remembered is the memo of the entry's last Write.
func remembered(r ledger.Receipt) memo {
	m, _ := r.Memo.(memo) // the first Write has none
	m.stored = r.Stored

	return m
}

func (m memo) receipt() ledger.Receipt { return ledger.Receipt{Stored: m.stored, Memo: m} }

// note brings a memo up to date with an event that was read. Our own annotation
// says how much is stored, even if answers were lost. If it is missing, all
// that we stored is on an earlier event, or folded.
func (m memo) note(e ledger.Entry, ev *corev1.Event, t tally) memo {
	m.told = t.told
	if t.there {
		m.stored = min(e.Total, add(m.base, add(t.mine, m.toldOf(e))))
	} else {
		m.base = m.stored
	}
	m.version, m.others, m.last = ev.ResourceVersion, t.others, ev.LastTimestamp.Time

	return m
}

// gone brings a memo up to date after an event was deleted.
func (m memo) gone() memo { return memo{stored: m.stored, base: m.stored} }

func format(n int64, at time.Time) string {
	return strconv.FormatInt(n, 10) + " " + at.UTC().Format(time.RFC3339)
}

func parse(s string) (n int64, at time.Time, err error) {
	count, when, _ := strings.Cut(s, " ")
	if n, err = strconv.ParseInt(count, 10, 64); err != nil {
		return 0, at, err
	}
	if n < 0 {
		return 0, at, fmt.Errorf("cannot count %d failures", n)
	}
	at, err = time.Parse(time.RFC3339, when)

	return n, at, err
}

// add adds counts. The sum stops at the greatest number.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}

	return a + b
}

// count is a sum in the 32 bits of an event. It stops at the greatest number.
func count(n int64) int32 { return int32(min(n, math.MaxInt32)) }
