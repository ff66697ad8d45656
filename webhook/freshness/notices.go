package freshness

import (
	"context"
	"maps"
	"slices"
	"time"
)

// allNotices is how many bytes the notices of all replicas may have: half of those
// that the annotations of an object may have. Else the API server would refuse
// heartbeats.
//
// Source: TotalAnnotationSizeLimitB, k8s.io/apimachinery v0.37.2
// pkg/api/validation/objectmeta.go.
const allNotices = 128 << 10

// Notices are words that each replica has for the others. A heartbeat takes them
// along.
type Notices interface {
	// Tell returns those for the next heartbeat, with or without the new ones: those
	// that were in no heartbeat that got through. There are new ones only as far as there
	// is space, in bytes, for all, with quotes and commas.
	Tell(withNew bool, space int) []string
	// Told says that the heartbeat got through. In time means that it had the new
	// notices, and that a replica that calls HeardSince has waited for them: it hears
	// them before it goes on. Else it may have given this replica up, unless this is the
	// only one: then the next heartbeat is in time.
	Told(inTime, isOnly bool)
	// Hear is for all notices of another replica. Most were heard before.
	Hear(all []string)
	// OnNew has a function called when there is a new notice.
	OnNew(call func())
}

// silent has no notices.
type silent struct{}

// Tell returns none.
func (silent) Tell(bool, int) []string { return nil }

// Told does nothing.
func (silent) Told(bool, bool) {}

// Hear does nothing.
func (silent) Hear([]string) {}

// OnNew does nothing.
func (silent) OnNew(func()) {}

// HeardSince tells whether all replicas, this one included, have written a heartbeat
// after a time, as far as they still do: one that was silent for 10 s is not waited
// for, and hears so by Notices.Told. It does not wait: ask again later. If the API
// server takes no heartbeats, it is true.
func (f *Freshness) HeardSince(at time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.refused || f.compared.heardSince(at) {
		return true
	}

	f.Changed() // hear the others again

	return false
}

// heardSince is HeardSince, without the case of a refusal. A heartbeat that was on its
// way for callTimeout was written before.
func (c *comparison) heardSince(at time.Time) bool {
	if c.heard.IsZero() {
		return false
	}

	for _, s := range c.seen {
		if c.isFresh(s) && !s.after.After(at.Add(callTimeout)) {
			return false
		}
	}

	return true
}

// inTouch tells whether others still wait for this replica, and will if the next
// heartbeat gets through within callTimeout. They give it up 10 s after they first
// saw its last one, so not sooner than 10 s after that was sent.
func (c *comparison) inTouch(now time.Time) bool {
	return !c.heard.IsZero() && now.Sub(c.heard) < outOfTouch
}

// isOnly tells whether there is no other replica, not even one that is silent.
func (c *comparison) isOnly() bool { return len(c.seen) == 1 }

// inherit takes over the notices of a process that had this replica's name: its
// container was started again. The first heartbeat takes the place of its last, which
// others may not have read (TestInherit). If the API server does not answer, there are
// none.
func (f *Freshness) inherit(ctx context.Context) {
	all := f.lease.last(ctx).Notices

	f.mu.Lock()
	defer f.mu.Unlock()

	f.inherited, f.inheritedAt = all, time.Now()
	f.notices.Hear(all)
}

// takeNotices has a heartbeat take the notices along.
func (f *Freshness) takeNotices(own *heartbeat) {
	f.tells = f.compared.inTouch(own.At)

	if own.At.Sub(f.inheritedAt) > tooOld { // others have read them, or are gone
		f.inherited = nil
	}

	space := f.compared.noticeShare()
	for _, n := range f.inherited {
		space -= len(n) + len(`"",`)
	}

	own.Notices = append(f.notices.Tell(f.tells, space), f.inherited...)
}

// noticeShare is the share of this replica of allNotices. One that is silent has its
// share for as long as its heartbeat is there.
func (c *comparison) noticeShare() int { return allNotices / max(1, len(c.seen)) }

// hearNotices hands on the notices of the other replicas.
func (f *Freshness) hearNotices() {
	for _, name := range slices.Sorted(maps.Keys(f.compared.seen)) {
		if s := f.compared.seen[name]; name != f.compared.self && len(s.Notices) > 0 {
			f.notices.Hear(s.Notices)
		}
	}
}
