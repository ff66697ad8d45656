package freshness

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/webhook/audit"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// TestNotices simulates three replicas that stand still at any time, for any time, or
// are cut off, or end and are replaced, under a stream of reviews that all time out. One
// replica leads, and the next one takes over if it stands still or ends. Each pod is
// told once: by the replica that was asked, or by the leader.
func TestNotices(t *testing.T) {
	t.Parallel()

	counts := map[string]int{}

	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			a := &auditWorld{t: t, dice: rand.New(rand.NewPCG(seed, 13)), lease: map[string]string{}, told: map[string][]string{}, failed: map[string]bool{}}
			for i := range 3 {
				a.replicas = append(a.replicas, a.replica(fmt.Sprint("r", i)))
			}

			for range int(3 * time.Minute / step) {
				a.step(true)
			}

			for range int(time.Minute / step) {
				a.step(false)
			}

			for _, p := range a.pods {
				if len(a.told[p.name]) != 1 {
					t.Fatalf("seed %d: pod %s of %v, asked %s, is told by %v", seed, p.name, p.begun.Sub(a.pods[0].begun), p.asks.self, a.told[p.name])
				}

				counts[a.told[p.name][0]]++
			}

			counts["ended"] += a.ended
		})
	}

	t.Logf("%v", counts)

	if counts["timeout"] < 100 || counts["missed"] < 100 || counts["ended"] < 10 {
		t.Errorf("not much has happened: %v", counts)
	}
}

// TestNoticesFit has thousands of reviews time out at each of 40 replicas. The API server
// takes their heartbeats, and each has notices.
func TestNoticesFit(t *testing.T) {
	t.Parallel()

	const replicas, annotations = 40, 256 << 10

	now := time.Now()
	c := newComparison("0", now)

	for i := range replicas {
		c.seen[fmt.Sprint(i)] = sighting{}
	}

	u := audit.NewUnanswered(reports(func(failure.Failure) {}))
	for i := range 5000 {
		u.Report(failure.Failure{Reason: failure.Timeout, Trace: fmt.Sprint(i), Injection: failure.Injection{Name: "proxy"}})
	}

	own := c.say(view(1, 1), now)
	own.Notices = u.Tell(true, c.noticeShare())

	text, err := json.Marshal(own)
	if err != nil {
		t.Fatal(err)
	}

	if all := replicas * (len(prefix) + maxName + len(text)); all > annotations || len(own.Notices) < 100 {
		t.Errorf("%d notices in a heartbeat, %d bytes in all, and the API server takes %d", len(own.Notices), all, annotations)
	}
}

// auditWorld is an API server, replicas and pods. Time moves in steps.
type auditWorld struct {
	t        *testing.T
	dice     *rand.Rand
	lease    map[string]string
	replicas []*auditReplica
	leader   int
	ended    int
	pods     []*timedOutPod
	told     map[string][]string
	failed   map[string]bool // in the mark of the audit
}

// auditReplica is one replica.
type auditReplica struct {
	comparison

	notices            *audit.Unanswered
	halted, cut        time.Time // until then
	ends               time.Time // no review comes any more; zero: some do
	due                time.Time
	new, tells, jolted bool
	call               *call
	found              map[string]time.Time // in the lead
	lastStep           time.Time
}

// timedOutPod is a pod whose review timed out.
type timedOutPod struct {
	name           string
	begun, created time.Time
	asks           *auditReplica
	noticed        bool
}

func (a *auditWorld) replica(name string) *auditReplica {
	r := &auditReplica{
		comparison: newComparison(name, time.Now()), due: time.Now(), found: map[string]time.Time{}, lastStep: time.Now(),
	}
	r.notices = audit.NewUnanswered(reports(func(f failure.Failure) { a.told[f.Pod] = append(a.told[f.Pod], "timeout") }))
	r.notices.OnNew(func() { r.new = true })

	return r
}

type reports func(failure.Failure)

func (r reports) Report(f failure.Failure) { r(f) }

func (a *auditWorld) upTo(d time.Duration) time.Duration {
	return time.Duration(a.dice.Int64N(int64(d)))
}

// step lets some time pass.
func (a *auditWorld) step(faults bool) {
	time.Sleep(step)

	now := time.Now()

	if faults && a.dice.IntN(10) == 0 {
		p := &timedOutPod{name: fmt.Sprint(len(a.pods)), begun: now, created: now.Add(5 * time.Second), asks: a.replicas[a.dice.IntN(3)]}
		if p.asks.ends.IsZero() {
			a.pods = append(a.pods, p)
		}
	}

	for i, r := range a.replicas {
		a.take(r, now)

		switch {
		case now.Before(r.halted):
		case !r.ends.IsZero() && r.call == nil && now.After(r.ends):
			a.end(i, now)
		case faults && r.ends.IsZero() && a.dice.IntN(1000) == 0:
			r.ends = now.Add(5 * time.Second)
		case faults && a.dice.IntN(150) == 0:
			r.halted = now.Add(a.upTo(time.Duration(1+a.dice.IntN(30)) * time.Second))
		case faults && a.dice.IntN(600) == 0:
			r.cut = now.Add(a.upTo(30 * time.Second))
		default:
			a.run(r, now)
		}
	}

	if now.Before(a.replicas[a.leader].halted.Add(-15 * time.Second)) {
		a.nextLeads()
	}
}

func (a *auditWorld) nextLeads() {
	a.leader = (a.leader + 1) % 3
	a.replicas[a.leader].found = map[string]time.Time{}
}

// end is Freshness.Leave. Another replica begins.
func (a *auditWorld) end(i int, now time.Time) {
	r := a.replicas[i]

	for all := false; !all; {
		all = a.notice(r, now)
	}

	tells, bye := r.inTouch(now), r.bye(now)
	bye.Notices = r.notices.Tell(tells, r.noticeShare())

	if !now.Before(r.cut) {
		a.lease[r.self] = a.encode(bye)
		r.notices.Told(tells, r.isOnly())
	}

	a.ended++
	a.replicas[i] = a.replica(fmt.Sprint("r", len(a.replicas)+a.ended))

	if i == a.leader {
		a.nextLeads()
	}
}

func (a *auditWorld) encode(h heartbeat) string {
	text, err := json.Marshal(h)
	if err != nil {
		a.t.Fatal(err)
	}

	return string(text)
}

// run is a step of a replica that does not stand still. Its parts come in any order.
func (a *auditWorld) run(r *auditReplica, now time.Time) {
	r.jolted, r.lastStep = r.jolted || now.Sub(r.lastStep) > jolt+step, now

	parts := []func(){func() { a.notice(r, now) }, func() { a.beat(r, now) }, func() { a.lead(r, now) }}
	a.dice.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })

	for _, do := range parts {
		do()
	}
}

// notice has the replica see that reviews have timed out. It returns whether it has
// seen all.
func (a *auditWorld) notice(r *auditReplica, now time.Time) (all bool) {
	all = true

	for _, p := range a.pods {
		switch {
		case p.asks != r || p.noticed || now.Sub(p.begun) <= 4500*time.Millisecond:
		case a.dice.IntN(3) == 0:
			all = false
		default:
			p.noticed = true
			r.notices.Report(failure.Failure{Reason: failure.Timeout, Pod: p.name, Trace: p.name, Injection: failure.Injection{Name: "proxy"}})
		}
	}

	return all
}

// take has the API server take a heartbeat.
func (a *auditWorld) take(r *auditReplica, now time.Time) {
	c := r.call
	if c == nil || c.all != nil || now.Before(c.taken) {
		return
	}

	if now.Before(r.cut) {
		c.taken = now.Add(time.Hour) // never

		return
	}

	a.lease[r.self] = a.encode(c.own)
	c.all = maps.Clone(a.lease)
}

// beat is Freshness.beat, but for what the API server does.
func (a *auditWorld) beat(r *auditReplica, now time.Time) {
	switch c := r.call; {
	case c == nil && r.new:
		r.new, r.due = false, minTime(r.due, now.Add(soonest))
	case c == nil && !now.Before(r.due) && r.jolted:
		r.jolted, r.due = false, now.Add(soonest)
	case c == nil && !now.Before(r.due):
		r.tells = r.inTouch(now)
		own := r.say(view(1, 1), now)
		own.Notices = r.notices.Tell(r.tells, r.noticeShare())
		r.call = &call{view: view(1, 1), own: own, sent: now, taken: now.Add(a.upTo(time.Second)), back: now.Add(time.Second + a.upTo(900*time.Millisecond))}
	case c == nil:
	case c.all != nil && !now.Before(c.back):
		r.hear(c.all, c.view, c.sent, now)

		for name, s := range r.seen {
			if name != r.self {
				r.notices.Hear(s.Notices)
			}
		}

		r.notices.Told(r.tells, r.isOnly())
		r.call, r.due = nil, now.Add(latest)
	case c.all == nil && now.Sub(c.sent) >= callTimeout:
		r.call, r.due = nil, now.Add(retry)
	}
}

// lead is a look of the audit at the pods, if the replica leads.
func (a *auditWorld) lead(r *auditReplica, now time.Time) {
	if r != a.replicas[a.leader] {
		return
	}

	for _, p := range a.pods {
		if now.Before(p.created) || a.failed[p.name] || slices.Contains(a.told[p.name], "missed") {
			continue
		}

		since, found := r.found[p.name]

		switch {
		case !found:
			r.found[p.name] = now
		case now.Sub(since) < 3*time.Second:
		case !r.heardSince(since):
			r.new = true
		case r.notices.Has(p.name, failure.Injection{Name: "proxy"}, types.UID(p.name)):
			a.failed[p.name] = true
		default:
			a.told[p.name] = append(a.told[p.name], "missed")
		}
	}
}
