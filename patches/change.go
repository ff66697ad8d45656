package patches

import "github.com/telltale-dev/telltale/patches/internal/edit"

// plan has the changes of one Injection, and the obstacles to them. It is made
// before anything is changed, so that an Injection is applied whole or not at
// all.
type plan struct {
	match     int // its index among the matches
	in        *Injection
	changes   []change
	conflicts []obstacle
	// excused are conflicts with what a later Injection overrides.
	excused []obstacle
	// found are values to be joined that the pod has by itself: no changes.
	found   []change
	reached bool // some container is to get env, envFrom or mounts
}

// obstacle says what keeps a change from being made, and the cure.
type obstacle struct{ what, cure string }

// change adds an item to a list, or swaps it in at a place.
type change struct {
	list int // among the lists of edits
	item *edit.Item
	swap bool
	at   edit.Place
	// isJoin is true for an env var that is joined: to a value of so many bytes,
	// which it moves by so many.
	isJoin      bool
	size, moved int
}

// bytesOf is no less than the number of bytes that changes add to the pod.
func bytesOf(changes []change) (n int) {
	for _, c := range changes {
		n += len(c.item.Key) + len(c.item.JSON)
	}

	return n
}
