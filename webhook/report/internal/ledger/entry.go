package ledger

import (
	"container/list"
	"time"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// Key is what failures are counted by.
type Key struct {
	Owner     failure.Ref
	Reason    failure.Reason
	Injection failure.Injection
}

// Entry is a copy of one key's account, as Due hands it out.
type Entry struct {
	// Failure is the last one under the key.
	failure.Failure
	// ID is a new one whenever an entry is opened in this ledger, even for the
	// key of an entry that was forgotten.
	ID uint64
	// Resolved is true once Owner is known to be the object to report on.
	Resolved bool
	// Total counts the failures since the entry was opened.
	Total int64
	// Owed counts those of them that are not known to be in the sink.
	Owed int64
	// Since is when the first of the owed failures happened, Last when the last.
	Since, Last time.Time
	// Once are the newest failures' names, in their order, where they have some: the
	// last is that of the last failure. It must not be changed.
	Once []string
	// Receipt is the latest one, from Settle or Retry.
	Receipt Receipt
	// Folded are some of the owners that have failures folded into this entry.
	// It is empty once the entry is Resolved. Look them up: if one of them is
	// confirmed, Move the entry to its own Owner; if none is, give it up.
	Folded []failure.Ref

	entry *entry
}

// Receipt says how much of an entry is known to be in the sink.
type Receipt struct {
	// Stored is how many of the entry's failures the sink holds.
	Stored int64
	// Refused is how many of the entry's failures the sink does not take, ever, and
	// Why says why. They count as unreported.
	Refused int64
	Why     Cause
	// Unclear is true after a write without an answer: it must be repeated before the
	// entry's failures may be shown on another object.
	Unclear bool
	// Memo is for the sink when it writes the entry again. The ledger keeps it,
	// and does not look at it.
	Memo any
}

// entry is in exactly one of three states: on the schedule, in flight, or
// spare. An entry that was moved only points to another, and is always spare.
type entry struct {
	Key
	id          uint64
	total       int64
	reported    int64
	refused     int64 // by the sink, with an answer
	revision    string
	pod, text   string
	since, last time.Time // since: if the entry was moved, the time of that
	resolved    bool
	confirmed   time.Time // when it was last found to be resolved
	folded      bool      // for failures of more than one owner
	sample      sample    // of these owners, while not resolved
	once        []string  // of all its failures, or of the last maxOnce
	receipt     Receipt

	taken    time.Time // when it last went in flight
	written  time.Time // when it was last settled; zero: never
	tries    int       // that went wrong, in a row
	due      time.Time // if it is spare: the time to forget it
	queued   bool      // on a queue, or behind a gate
	held     bool      // was a newcomer when it was first behind a gate
	inFlight bool
	spare    *list.Element // nil: not spare
	movedTo  *Key          // nil: not moved
}

func (e *entry) owed() int64 { return e.total - e.reported - e.refused }
func (e *entry) wrote() bool { return !e.written.IsZero() }

func (e *entry) at() time.Time { return e.due }

// newcomer tells whether no failure of the entry was ever taken or refused by the
// sink. If it was held behind a gate, it is none any more.
func (e *entry) newcomer() bool {
	return e.reported+e.refused == 0 && !e.folded && !e.held && e.movedTo == nil
}

// confirm notes that the entry's owner is the object to report on.
func (e *entry) confirm(now time.Time) { e.resolved, e.confirmed, e.sample = true, now, sample{} }

func (e *entry) copy() Entry {
	revision := e.revision
	if e.Injection == (failure.Injection{}) { // failures of several are folded
		revision = ""
	}

	return Entry{
		Failure: failure.Failure{
			Reason: e.Reason, Injection: e.Injection, Revision: revision, Owner: e.Owner, Pod: e.pod, Text: e.text,
		},
		ID: e.id, Resolved: e.resolved, Total: e.total, Owed: e.owed(),
		Since: e.since, Last: e.last, Once: e.once, Receipt: e.receipt, Folded: e.sample.owners,
		entry: e,
	}
}
