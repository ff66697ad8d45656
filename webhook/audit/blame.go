package audit

import (
	"math/bits"
)

// suspects are Injections of one pod, as bits: the first is 1, the second 2.
type suspects uint64

// maxSuspects is how many Injections of a pod are told apart. Those beyond it are
// never tried without.
const maxSuspects = 64

// maxPairs is the number of Injections up to which pairs are tried.
const maxPairs = 6

// nextTrial says which Injections to leave out next: few before many.
//
// Where the refusal names parts of Injections, each of these goes first, then all of
// them. If it no longer names those that are left out now, they stay out as well. If
// it does, it says the same whatever the pod has. Then one by one, two by two, and
// all at once. None is left when all of these were refused.
func nextTrial(all int, tried map[suspects]bool, now, named suspects) suspects {
	if named&now != 0 {
		now = 0
	}

	for more := named; more != 0; more &= more - 1 {
		if next := now | more&-more; !tried[next] {
			return next
		}
	}

	if named != 0 && !tried[now|named] {
		return now | named
	}

	for i := range all {
		if one := suspects(1) << i; !tried[one] {
			return one
		}
	}

	for i := 0; i < all && all <= maxPairs; i++ {
		for j := range i {
			if two := suspects(1)<<i | suspects(1)<<j; !tried[two] {
				return two
			}
		}
	}

	if every := everyone(all); !tried[every] {
		return every
	}

	return 0
}

func everyone(all int) suspects { return suspects(1)<<all - 1 }

// each calls f with the index of each suspect.
func (s suspects) each(f func(int)) {
	for ; s != 0; s &= s - 1 {
		f(bits.TrailingZeros64(uint64(s)))
	}
}
