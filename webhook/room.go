package webhook

import (
	"container/list"
	"context"
	"iter"
	"net/http"
	"sync"
	"time"
)

// grace is how long a caller may keep us waiting, in all, for one body while
// others need its memory. API servers send the largest review in less.
const grace = 100 * time.Millisecond

// room is the memory for the bodies of requests (TestRoom):
//
//   - Bytes count as they arrive, and until the answer is sent.
//   - If none are left, bodies are cut whose callers have kept us waiting for
//     longer than grace, the oldest first.
//   - If there is none to cut, bodies wait, in the order of their arrival. Those
//     that have no bytes yet come first, since mostly they need no more than
//     that. The oldest that is not whole may use a reserve, so that bodies never
//     wait for each other in a circle.
//
// So a stranger can hold only memory that no other caller needs. To keep 16 MiB
// from others, it must send 16 MiB every 100 ms.
type room struct {
	mu      sync.Mutex
	free    int64     // less than 0 while the reserve is in use
	bodies  list.List // of *body, in the order of their arrival
	waiting int       // how many of them want bytes
	looked  time.Time // for bodies to cut
}

// newRoom returns a room for so many bytes. One largest review of them is the
// reserve.
func newRoom(bytes int64) *room { return &room{free: bytes - maxReview} }

// body is one request's place in a room.
type body struct {
	room    *room
	place   *list.Element
	caller  *http.ResponseController
	taken   int64
	wants   int64         // more than 0 while the body waits for bytes
	granted chan struct{} // gets a value at the end of that
	whole   bool          // it has arrived
	since   time.Time     // begin of a wait for the caller; zero if there is none now
	kept    time.Duration // sum of the earlier ones
	cut     bool
}

func (m *room) enter(w http.ResponseWriter) *body {
	m.mu.Lock()
	defer m.mu.Unlock()

	b := &body{room: m, caller: http.NewResponseController(w), granted: make(chan struct{}, 1)}
	b.place = m.bodies.PushBack(b)

	return b
}

// leave gives back what a body has taken.
func (b *body) leave() {
	b.room.mu.Lock()
	defer b.room.mu.Unlock()

	b.room.bodies.Remove(b.place)
	b.room.free += b.taken

	if b.room.waiting > 0 {
		b.room.grant(time.Now())
	}
}

// take waits for more bytes, and tells whether the body may have them. If there
// is no need to wait, it may, even after ctx has ended.
func (b *body) take(ctx context.Context, bytes int64) bool {
	if b.ask(bytes) {
		return true
	}

	look := time.NewTicker(grace / 4)
	defer look.Stop()

	for {
		select {
		case <-b.granted:
			return true
		case <-ctx.Done():
			return b.withdraw()
		case now := <-look.C:
			b.room.look(now)
		}
	}
}

func (b *body) ask(bytes int64) bool {
	m := b.room

	m.mu.Lock()
	defer m.mu.Unlock()

	if m.waiting == 0 && m.free >= bytes { // nearly always
		m.free -= bytes
		b.taken += bytes

		return true
	}

	b.wants = bytes
	m.waiting++
	m.grant(time.Now())

	return b.answered()
}

// withdraw ends the wait of a body, and tells whether it has just got its bytes.
func (b *body) withdraw() bool {
	b.room.mu.Lock()
	defer b.room.mu.Unlock()

	if b.answered() {
		return true
	}

	b.wants = 0
	b.room.waiting--

	return false
}

func (b *body) answered() bool {
	select {
	case <-b.granted:
		return true
	default:
		return false
	}
}

// await notes that we wait for the caller of a body from now on.
func (b *body) await() {
	b.room.mu.Lock()
	defer b.room.mu.Unlock()

	b.since = time.Now()
}

// proceed ends such a wait. It returns errOverload if the body was cut meanwhile.
func (b *body) proceed(whole bool) error {
	b.room.mu.Lock()
	defer b.room.mu.Unlock()

	b.kept += time.Since(b.since)
	b.since, b.whole = time.Time{}, whole

	if b.cut {
		return errOverload
	}

	return nil
}

// late tells whether the caller of a body keeps us waiting, and has done so for
// longer than grace.
func (b *body) late(now time.Time) bool {
	return !b.cut && !b.since.IsZero() && b.kept+now.Sub(b.since) > grace
}

// look cuts bodies that are late by now, for those that wait.
func (m *room) look(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()

	if now.Sub(m.looked) >= grace/4 { // once for all of them
		m.looked = now
		m.grant(now)
	}
}

// grant gives bytes to the bodies that wait, as long as there are some.
func (m *room) grant(now time.Time) {
	for _, first := range []bool{true, false} {
		oldest := true // of those that are not whole

		for b := range m.inOrder() {
			if m.waiting == 0 || b.wants > 0 && first == (b.taken == 0) && !m.give(b, oldest, now) {
				break // the oldest may still use the reserve
			}

			oldest = oldest && (b.whole || b.cut)
		}
	}
}

func (m *room) inOrder() iter.Seq[*body] {
	return func(yield func(*body) bool) {
		for e := m.bodies.Front(); e != nil; e = e.Next() {
			if !yield(e.Value.(*body)) {
				return
			}
		}
	}
}

// give gives a body the bytes that it wants, if there are as many, or as many can
// be had by cutting others.
func (m *room) give(b *body, oldest bool, now time.Time) bool {
	least := int64(0)
	if oldest {
		least = -maxReview
	}

	for m.free-b.wants < least {
		if !m.cutOne(now) {
			return false
		}
	}

	m.free -= b.wants
	b.taken += b.wants
	b.wants = 0
	m.waiting--
	b.granted <- struct{}{}

	return true
}

// cutOne cuts the oldest body that is late, if there is one. Its goroutine lets
// go of the memory within microseconds.
func (m *room) cutOne(now time.Time) bool {
	for b := range m.inOrder() {
		if !b.late(now) {
			continue
		}

		m.free += b.taken
		b.taken, b.cut = 0, true

		_ = b.caller.SetReadDeadline(now) // an error: the writer has no deadlines
		if b.whole {                      // its answer is being sent
			_ = b.caller.SetWriteDeadline(now)
		}

		return true
	}

	return false
}
