package freshness

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/resourceversion"
)

const (
	// tooOld is the age from which on a heartbeat is not compared: its replica is
	// gone, or can't be heard. The age is the time from when this replica first saw it
	// to when it last looked, so that clocks need not agree.
	tooOld = 10 * time.Second
	// forgotten is the age from which on a heartbeat is removed.
	forgotten = time.Minute
	// bound is for how long a replica may be behind another before it has an Err.
	// Until then no edit that it lacks is called ready.
	bound = 10 * time.Second
	// outOfTouch is how long after its last heartbeat a replica trusts its view. It
	// is less than tooOld: others still wait for a replica that trusts its view.
	outOfTouch = 8 * time.Second
)

// View is how far a replica has come, by kind of object, in resourceVersions.
//
// The two differ. A kind that nothing changes has an old Newest, and UpTo moves
// with each bookmark of a watch. Only a Newest that is beyond another's UpTo is
// proof that the other lacks something.
type View struct {
	// UpTo: the replica has handled all changes of the kind up to here.
	UpTo map[string]string `json:"upTo"`
	// Newest is that of the newest object of the kind that was made, changed or
	// deleted, as far as the replica knows. Kinds without one may be left out.
	Newest map[string]string `json:"newest"`
}

// heartbeat is what a replica tells the others.
type heartbeat struct {
	// At is for people. It makes each heartbeat another one.
	At time.Time `json:"at"`
	// Behind says that this replica is not to be waited for: it has an Err, or has
	// ended.
	Behind bool `json:"behind,omitempty"`
	// Notices are those of the last minute.
	Notices []string `json:"notices,omitempty"`
	View
}

// sighting is a heartbeat, and when it was first seen.
type sighting struct {
	heartbeat

	name, text string
	at         time.Time
	after      time.Time // it was written after that
}

// lag is a change that this replica lacks.
type lag struct {
	resourceVersion, replica string
	since                    time.Time // when it was first heard of
}

// comparison is a pure state machine: no I/O, no clock.
//
//	own := c.say(view, sent)
//	c.hear(write(own), view, sent, now)
//	remove(c.gone())
//	c.tick(now) // when outOfTouch has passed since
type comparison struct {
	self string
	seen map[string]sighting // by replica, this one included
	lags map[string]lag      // by kind

	said    heartbeat // the last one
	inStep  bool      // nothing is missing that others may have called ready
	unready bool
	alone   bool      // when it last heard
	touched time.Time // when the last heartbeat that was taken was sent, or the start
	heard   time.Time // as touched; zero at the start
}

func newComparison(self string, now time.Time) comparison {
	return comparison{
		self: self, seen: map[string]sighting{}, lags: map[string]lag{}, unready: true, alone: true, touched: now,
	}
}

// say returns the next heartbeat.
func (c *comparison) say(view View, now time.Time) heartbeat {
	c.compare(view, now)

	if c.behindFor(now) > bound {
		c.inStep = false
	}

	c.said = heartbeat{At: now, Behind: !c.inStep && len(c.lags) > 0, View: view}

	return c.said
}

// bye is the last heartbeat of a replica that answers no reviews any more. It keeps
// what was told: one that begins now may lack an edit that only this one has told.
func (c *comparison) bye(now time.Time) heartbeat {
	return heartbeat{At: now, Behind: true, View: c.said.View}
}

// hear takes all heartbeats, as they were just after the own one was written.
func (c *comparison) hear(all map[string]string, view View, sent, now time.Time) {
	before := c.heard
	c.touched, c.heard = sent, sent

	for name, text := range all {
		if c.seen[name].text != text {
			s := sighting{name: name, text: text, at: now, after: before}
			_ = json.Unmarshal([]byte(text), &s.heartbeat) // of another version: not compared

			c.seen[name] = s
		}
	}

	maps.DeleteFunc(c.seen, func(name string, s sighting) bool {
		_, ok := all[name]

		return !ok && !c.isFresh(s)
	})

	c.compare(view, now)

	others := c.others()
	c.alone = len(others) == 0

	switch {
	case c.said.Behind:
		// Of two that are behind one another, the second one to say so sees the first,
		// and stays ready.
		c.unready = slices.ContainsFunc(others, func(o sighting) bool { return !o.Behind })
	case len(c.lags) == 0:
		c.inStep, c.unready = true, false
	}
}

// gone are the replicas that have been silent for long.
func (c *comparison) gone() (gone []string) {
	for name, s := range c.seen {
		if name != c.self && c.touched.Sub(s.at) > forgotten {
			gone = append(gone, name)
		}
	}

	return gone
}

// tick has this replica distrust its view if none of its heartbeats got through
// for a while. Others may wait for it no longer. If it is alone, there is no other
// that could call an edit ready.
func (c *comparison) tick(now time.Time) {
	if !c.alone && now.Sub(c.touched) >= outOfTouch {
		c.inStep = false
	}
}

// compare finds what this replica lacks of what others have.
func (c *comparison) compare(view View, now time.Time) {
	for kind, upTo := range view.UpTo {
		l, ok := c.lags[kind]

		// If the replica that has told of it is gone, it is lacking all the same.
		if told := c.seen[l.replica]; ok && isOlder(upTo, l.resourceVersion) &&
			(!c.isFresh(told) || !isOlder(told.Newest[kind], l.resourceVersion)) {
			continue
		}

		delete(c.lags, kind)

		for _, o := range c.others() {
			if v := o.Newest[kind]; isOlder(upTo, v) && !isOlder(v, c.lags[kind].resourceVersion) {
				c.lags[kind] = lag{v, o.name, now}
			}
		}
	}
}

func (c *comparison) isFresh(s sighting) bool { return c.touched.Sub(s.at) <= tooOld }

// others are the other replicas with a heartbeat to compare with.
func (c *comparison) others() (others []sighting) {
	for _, name := range slices.Sorted(maps.Keys(c.seen)) {
		if s := c.seen[name]; name != c.self && c.isFresh(s) {
			others = append(others, s)
		}
	}

	return others
}

// behindFor is for how long something has been missing.
func (c *comparison) behindFor(now time.Time) (age time.Duration) {
	for _, l := range c.lags {
		age = max(age, now.Sub(l.since))
	}

	return age
}

// age is for how long something has been missing, or nothing could be compared.
func (c *comparison) age(now time.Time) time.Duration {
	age := c.behindFor(now)
	if silent := now.Sub(c.touched); silent > tooOld {
		age = max(age, silent)
	}

	return age
}

// lacking says what this replica lacks.
func (c *comparison) lacking() string {
	var all []string
	for _, kind := range slices.Sorted(maps.Keys(c.lags)) {
		all = append(all, fmt.Sprintf("%s %s, which %s has", kind, c.lags[kind].resourceVersion, c.lags[kind].replica))
	}

	return strings.Join(all, "; ")
}

// lacks names a replica that has not said that it has all of a kind up to a
// resourceVersion. This replica must have told of it: a replica that begins now
// hears of it by that.
func (c *comparison) lacks(kind, resourceVersion string) string {
	own, told := c.seen[c.self]
	if newest, ok := own.Newest[kind]; !told || !ok || isOlder(newest, resourceVersion) {
		return c.self
	}

	for _, name := range slices.Sorted(maps.Keys(c.seen)) {
		if s := c.seen[name]; !s.Behind && c.isFresh(s) && isOlder(s.UpTo[kind], resourceVersion) {
			return name
		}
	}

	return ""
}

// isOlder tells whether a is older than b. If they can't be compared, it is not.
func isOlder(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)

	return err == nil && order < 0
}
