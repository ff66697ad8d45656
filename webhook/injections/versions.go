package injections

import "time"

// versions are those that API servers of the control plane had when they were asked.
type versions struct {
	newest string
	at     time.Time // when newest was seen
	since  time.Time // when one was seen first
	seen   map[string]time.Time
}

// saw takes note of a version.
func (v *versions) saw(version string, now time.Time) {
	if v.seen == nil {
		v.since, v.seen = now, map[string]time.Time{}
	}

	v.newest, v.at, v.seen[version] = version, now, now
}

// last is when a server of a version was last seen. It may have been there until the
// first look.
func (v *versions) last(version string) time.Time {
	if at, ok := v.seen[version]; ok {
		return at
	}

	return v.since
}
