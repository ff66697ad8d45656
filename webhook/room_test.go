package webhook

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slow is a ResponseWriter that notes when its caller is cut.
type slow struct {
	*httptest.ResponseRecorder

	cut bool
}

func (s *slow) SetReadDeadline(time.Time) error {
	s.cut = true

	return nil
}

var _ http.ResponseWriter = &slow{}

// TestRoom has two bodies that hold all the memory but the reserve, and a third
// that needs some.
func TestRoom(t *testing.T) {
	const half = (minBytes - maxReview) / 2

	cases := map[string]struct {
		reason string
		before func(first, second *body)
		cut    [2]bool
		waits  time.Duration // until it gets its bytes; a minute: in vain
	}{
		"AtWork": {
			reason: "Both have arrived. We work on them, and only then the third gets its bytes.",
			before: func(first, second *body) {
				for _, b := range []*body{first, second} {
					b.await()
					_ = b.proceed(true)
				}

				time.AfterFunc(time.Second, first.leave)
				time.AfterFunc(time.Second, second.leave)
			},
			waits: 0, // it is the oldest that is not whole, so it has the reserve
		},
		"Arriving": {
			reason: "A body may take a moment to arrive, even if another needs its bytes.",
			before: func(first, second *body) {
				first.await()
				second.await()
				time.AfterFunc(grace/2, func() {
					_ = first.proceed(true)
					first.leave()
				})
			},
			waits: grace / 2,
		},
		"Stalled": {
			reason: "The oldest that keeps us waiting is cut. One is enough.",
			before: func(first, second *body) {
				first.await()
				second.await()
			},
			cut:   [2]bool{true, false},
			waits: grace + grace/4,
		},
		"Dripping": {
			reason: "A byte now and then is no progress: the sum of all waits counts.",
			before: func(first, second *body) {
				second.await()

				go func() {
					for range 100 {
						first.await()
						time.Sleep(grace / 10)

						if first.proceed(false) != nil {
							return
						}
					}
				}()
			},
			cut:   [2]bool{true, false},
			waits: grace + grace/4,
		},
		"Answered": {
			reason: "A caller that does not read its answer holds nothing either.",
			before: func(first, _ *body) {
				first.await()
				_ = first.proceed(true)
				first.await()
			},
			cut:   [2]bool{true, false},
			waits: grace + grace/4,
		},
		"Waiting": {
			reason: "A body that waits for us is not slow, however long it takes.",
			before: func(_, second *body) {
				second.await()
				_ = second.proceed(true)
				time.AfterFunc(10*grace, second.leave)
			},
			waits: 10 * grace,
		},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newRoom(minBytes)

				var (
					callers [3]slow
					bodies  [3]*body
				)

				for i := range bodies {
					bodies[i] = m.enter(&callers[i])
				}

				for _, b := range bodies[:2] {
					if !b.take(t.Context(), half) {
						t.Fatal("there is no room for two")
					}
				}

				c.before(bodies[0], bodies[1])

				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				got := bodies[2].take(ctx, half)

				cancel()

				if took := time.Since(start); !got || took < c.waits || took > c.waits+grace/4 {
					t.Errorf("%s got room: %v after %v, want after %v", c.reason, got, took, c.waits)
				}

				if cut := [2]bool{callers[0].cut, callers[1].cut}; cut != c.cut {
					t.Errorf("%s cut: %v, want %v", c.reason, cut, c.cut)
				}

				time.Sleep(time.Minute) // the bubble's clock: the timers of a case have run
			})
		})
	}
}

// TestRoomNoCircle has bodies that hold all the memory, and all want more; and an
// ordinary one waits as well. Each gets it in the end, in the order of their
// arrival, and no memory is lost.
func TestRoomNoCircle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many, step = 9, 1 << 20

		m := newRoom(minBytes)
		left := make(chan int, many)

		for i := range many {
			b := m.enter(&slow{})
			b.take(t.Context(), step)

			go func() {
				time.Sleep(time.Second) // all have arrived

				for taken := step; taken < maxReview; taken += step {
					if !b.take(t.Context(), step) {
						t.Error("there was no room in the end")
					}
				}

				b.await()
				_ = b.proceed(true)
				left <- i
				b.leave()
			}()
		}

		ordinary := m.enter(&slow{})
		if !ordinary.take(t.Context(), 1) {
			t.Error("there was no room for an ordinary one")
		}

		ordinary.leave()

		for want := range many {
			// Once five have left, there is room for two at the same time.
			if got := <-left; got != want && want < 5 {
				t.Errorf("%d left, want %d", got, want)
			}
		}

		synctest.Wait()

		if m.free != minBytes-maxReview {
			t.Errorf("%d bytes are free, want %d", m.free, minBytes-maxReview)
		}
	})
}

// TestRoomFirst has bodies that hold all the memory, and all want more. Most are
// strangers', which never send more. An ordinary review does not wait for each of
// them in turn.
func TestRoomFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newRoom(minBytes)

		var strangers sync.WaitGroup

		for m.free >= firstBytes {
			b := m.enter(&slow{})
			b.take(t.Context(), firstBytes)
			strangers.Go(func() {
				defer b.leave()

				time.Sleep(grace / 2) // all have their first bytes

				if b.take(t.Context(), firstBytes) {
					b.await()
					time.Sleep(time.Minute)

					_ = b.proceed(false)
				}
			})
		}

		time.Sleep(grace)

		start := time.Now()
		b := m.enter(&slow{})

		if got, took := b.take(t.Context(), 8<<10), time.Since(start); !got || took > grace+grace/4 {
			t.Errorf("got room: %v after %v, want within %v", got, took, grace+grace/4)
		}

		b.leave()
		strangers.Wait()

		if m.free != minBytes-maxReview || m.waiting != 0 || m.bodies.Len() != 0 {
			t.Errorf("%d bytes are free, %d of %d bodies wait", m.free, m.waiting, m.bodies.Len())
		}
	})
}
