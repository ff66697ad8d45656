package freshness

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

// world is a simulated cluster: an API server with one kind of objects, and
// replicas that watch it, each by a comparison. Time moves in steps.
type world struct {
	t    *testing.T
	dice *rand.Rand
	now  time.Time

	rv       int         // of the newest change of anything
	objects  map[int]int // of our kind: their newest edit
	newest   int         // of our kind's changes
	lease    map[string]string
	plans    []plan
	replicas []*member
	ready    int // the newest edit that a leader has called ready

	alarms, unready int // how often replicas fell out of step, and were not ready
}

// member is a replica.
type member struct {
	comparison

	alive, stalled, cut bool // cut: its calls get no answer

	upTo, newest int
	due          time.Time
	call         *call
}

// call is a heartbeat that is under way.
type call struct {
	view              View
	own               heartbeat
	sent, taken, back time.Time
	all               map[string]string
}

// plan is something that happens later.
type plan struct {
	at time.Time
	do func()
}

const step = 100 * time.Millisecond

func (w *world) chance(in int) bool { return w.dice.IntN(in) == 0 }

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.dice.Int64N(int64(d))) }

// begin starts a replica, or starts it again. Its watch may stall at once, and it
// takes a while until its first heartbeat.
func (w *world) begin(m *member, faults bool) {
	*m = member{comparison: newComparison(m.self, w.now), alive: true, upTo: w.rv, due: w.now.Add(w.upTo(2 * time.Second))}
	m.stalled = faults && w.chance(3)

	for _, rv := range w.objects {
		m.newest = max(m.newest, rv)
	}
}

func view(upTo, newest int) View {
	v := View{UpTo: map[string]string{"Injection": strconv.Itoa(upTo)}, Newest: map[string]string{}}
	if newest > 0 {
		v.Newest["Injection"] = strconv.Itoa(newest)
	}

	return v
}

// watch delivers what a watch has, mostly at once.
func (w *world) watch(m *member) {
	if m.stalled || m.cut || w.chance(4) {
		return
	}

	if w.newest > m.upTo {
		m.upTo, m.newest, m.due = w.newest, w.newest, minTime(m.due, w.now.Add(soonest))
	}

	if w.chance(600) {
		m.upTo = w.rv // a bookmark
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}

	return b
}

// beat lets heartbeats begin, reach the API server, and come back.
func (w *world) beat(m *member) {
	switch c := m.call; {
	case c == nil && !w.now.Before(m.due):
		v := view(m.upTo, m.newest)
		m.call = &call{view: v, sent: w.now, taken: w.now.Add(w.upTo(time.Second)), back: w.now.Add(time.Second + w.upTo(time.Second))}
		m.call.own = m.say(v, w.now)
	case c == nil:
	case c.all == nil && !w.now.Before(c.taken) && !m.cut:
		w.lease[m.self] = w.encode(c.own)
		c.all = maps.Clone(w.lease)
	case c.all != nil && !w.now.Before(c.back) && !m.cut:
		before := m.inStep
		m.hear(c.all, c.view, c.sent, w.now)
		m.call, m.due = nil, w.now.Add(latest)

		if maps.Equal(w.lease, c.all) {
			for _, name := range m.gone() {
				delete(w.lease, name)
			}
		}

		if before && !m.inStep {
			w.alarms++
		}
	case w.now.Sub(c.sent) >= callTimeout:
		m.call, m.due = nil, w.now.Add(retry)
	}
}

func (w *world) encode(h heartbeat) string {
	text, err := json.Marshal(h)
	if err != nil {
		w.t.Fatal(err)
	}

	return string(text)
}

// end ends a replica that has answered all reviews. Its last heartbeat is under way,
// maybe until a new process has its name.
func (w *world) end(m *member) {
	if m.alive && !m.cut {
		name, last, bye := m.self, w.encode(m.said), w.encode(m.bye(w.now))

		w.later(3*time.Second, func() {
			if w.lease[name] == last {
				w.lease[name] = bye
			}
		})
	}

	m.alive, m.call = false, nil
}

// later does something at a random time.
func (w *world) later(atMost time.Duration, do func()) {
	w.plans = append(w.plans, plan{w.now.Add(w.upTo(atMost)), do})
}

// follow does what is planned for now.
func (w *world) follow() {
	plans := w.plans
	w.plans = nil

	for _, p := range plans {
		if w.now.Before(p.at) {
			w.plans = append(w.plans, p)
		} else {
			p.do()
		}
	}
}

// lead has a replica call the edits ready that all have. Any replica may, as
// leaders change.
func (w *world) lead(m *member) {
	for _, rv := range w.objects {
		if rv <= m.upTo && rv > w.ready && m.lacks("Injection", strconv.Itoa(rv)) == "" {
			w.ready = max(w.ready, rv)
		}
	}
}

// check is the promise: a replica without an Err has each edit that was called
// ready.
func (w *world) check() {
	ready, living := 0, 0

	for _, m := range w.replicas {
		if !m.alive {
			continue
		}

		if !m.cut {
			living++
		}

		m.tick(w.now)

		if m.inStep && m.upTo < w.ready {
			w.t.Fatalf("%v: silent miss: %s is at %d, and edit %d was called ready\n%s", w.now, m.self, m.upTo, w.ready, w)
		}

		if !m.unready {
			ready++
		}
	}

	if living > 0 && ready == 0 {
		w.unready++
	} else {
		w.unready = 0
	}

	// A replica that was the only one that is ready may be killed. Then another is,
	// once the heartbeat of that one is old, by its next heartbeats.
	if limit := tooOld + 4*latest; time.Duration(w.unready)*step > limit {
		w.t.Fatalf("%v: no replica has been ready for %v\n%s", w.now, limit, w)
	}
}

func (w *world) String() (s string) {
	for _, m := range w.replicas {
		s += fmt.Sprintf("%s alive=%t stalled=%t cut=%t at=%d newest=%d inStep=%t unready=%t lags=%q\n",
			m.self, m.alive, m.stalled, m.cut, m.upTo, m.newest, m.inStep, m.unready, m.lacking())
	}

	return s
}
