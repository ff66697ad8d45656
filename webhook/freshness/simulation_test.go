package freshness

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// fault breaks something, or repairs it.
func (w *world) fault() {
	m := w.replicas[w.dice.IntN(len(w.replicas))]
	w.unready = 0

	switch w.dice.IntN(9) {
	case 0:
		m.stalled = true
	case 1:
		m.cut = !m.alone // see comparison.tick
	case 2:
		m.alive, m.call = false, nil
	case 3: // as in a rollout, with an edit of which the new one may hear by the old one alone
		w.begin(m, true)
		m.due = m.due.Add(w.upTo(6 * time.Second))
		w.edit()
		w.later(6*time.Second, func() { w.end(w.replicas[w.dice.IntN(len(w.replicas))]) })
	case 4: // as a container that is started again
		w.end(m)
		w.later(time.Second, func() { w.begin(m, true) })
	case 5:
		m.cut = false
	default:
		m.stalled, m.cut = false, false
	}
}

// edit makes, changes or deletes an object.
func (w *world) edit() {
	w.rv++
	w.newest = w.rv

	if object := w.dice.IntN(5); w.chance(5) {
		delete(w.objects, object)
	} else {
		w.objects[object] = w.rv
	}
}

func (w *world) pass(d time.Duration, edits, faults int) {
	for range d / step {
		w.now = w.now.Add(step)

		if w.chance(20) {
			w.rv++ // of another kind
		}

		if edits > 0 && w.chance(edits) {
			w.edit()
		}

		if faults > 0 && w.chance(faults) {
			w.fault()
		}

		w.follow()

		for _, m := range w.replicas {
			if m.alive {
				w.watch(m)
				w.beat(m)
				w.lead(m)
			}
		}

		w.check()
	}
}

func newWorld(t *testing.T, seed uint64, replicas int) *world {
	t.Helper()

	w := &world{t: t, dice: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(0, 0), rv: 1, objects: map[int]int{}, lease: map[string]string{}}
	for i := range replicas {
		m := &member{comparison: comparison{self: fmt.Sprint("telltale-", i)}}
		w.replicas = append(w.replicas, m)
		w.begin(m, false)
	}

	return w
}

// TestNoSilentMiss stalls the watches of replicas, cuts them off, kills, ends and starts
// them, in many random orders, while objects are edited. At each moment a replica
// without an Err has each edit that was called ready. Once all is repaired, each
// edit is called ready, and each replica is in step.
func TestNoSilentMiss(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()

			w := newWorld(t, seed, 1+int(seed%4))
			w.pass(10*time.Minute, 5+int(seed%50), 50)
			w.pass(10*time.Second, 0, 0) // all plans come true

			for _, m := range w.replicas {
				if m.stalled, m.cut = false, false; !m.alive {
					w.begin(m, false)
				}
			}

			w.pass(time.Minute, 0, 0)

			for _, m := range w.replicas {
				if !m.inStep || m.unready {
					t.Errorf("%s is not in step\n%s", m.self, w)
				}
			}

			for _, rv := range w.objects {
				if rv > w.ready {
					t.Errorf("edit %d was not called ready; the newest is %d\n%s", rv, w.ready, w)
				}
			}
		})
	}
}

// TestNoFalseAlarm runs replicas for half an hour each, in which they start again now
// and then, after deletions, too, and bookmarks come at different times. None is
// behind.
func TestNoFalseAlarm(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()

			w := newWorld(t, seed, 1+int(seed%4))

			for range 30 {
				w.pass(time.Minute, int(seed%2)*20+int(seed%7)*100, 0)

				for _, m := range w.replicas {
					if !m.inStep || m.unready {
						t.Fatalf("%s is not in step\n%s", m.self, w)
					}
				}

				w.begin(w.replicas[w.dice.IntN(len(w.replicas))], false)
			}

			if w.alarms > 0 {
				t.Errorf("%d alarms", w.alarms)
			}
		})
	}
}
