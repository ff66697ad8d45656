package ledger

import (
	"container/heap"
	"time"
)

// queue holds entries that owe, or gates, the earliest due first.
type queue[T timed] []T

// timed is something that is due at a time.
type timed interface{ at() time.Time }

// push schedules an entry: behind the gate of its side, if there is one.
func (l *Ledger) push(e *entry, at time.Time) {
	e.due, e.queued = at, true
	if g := l.gates[l.side(e)]; g != nil {
		l.hold(g, e)
	} else {
		heap.Push(l.queue(e.wrote()), e)
	}
}

// queue is the one of entries that were written before, or of those that were
// not.
func (l *Ledger) queue(wrote bool) *queue[*entry] {
	if wrote {
		return &l.again
	}

	return &l.fresh
}

func (q queue[T]) due(now time.Time) bool {
	return len(q) > 0 && !q[0].at().After(now)
}

// Len, Less, Swap, Push and Pop make a queue a heap.Interface.

func (q queue[T]) Len() int           { return len(q) }
func (q queue[T]) Less(i, j int) bool { return q[i].at().Before(q[j].at()) }
func (q queue[T]) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push adds an element at the end.
func (q *queue[T]) Push(x any) { *q = append(*q, x.(T)) }

// Pop takes the element at the end.
func (q *queue[T]) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	var none T
	(*q)[last] = none
	*q = (*q)[:last]

	return x
}
