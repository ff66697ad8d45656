package ledger

import (
	"container/heap"
	"time"
)

// queue holds entries that owe, the earliest due first.
type queue []*entry

// push schedules an entry.
func (l *Ledger) push(e *entry, at time.Time) {
	e.due = at
	if e.wrote() {
		heap.Push(&l.again, e)
	} else {
		heap.Push(&l.fresh, e)
	}
}

func (q *queue) pop() *entry {
	return heap.Pop(q).(*entry)
}

func (q queue) due(now time.Time) bool {
	return len(q) > 0 && !q[0].due.After(now)
}

// Len, Less, Swap, Push and Pop make a queue a heap.Interface.

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push adds an entry at the end.
func (q *queue) Push(x any) {
	e := x.(*entry)
	*q = append(*q, e)
	e.queued = true
}

// Pop takes the entry at the end.
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	e.queued = false

	return e
}
