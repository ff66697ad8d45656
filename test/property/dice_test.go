package property

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
)

// dice make random things, the same ones for the same seed. Wild dice also make
// things that are mostly refused.
type dice struct {
	*rand.Rand

	wild   bool
	inject bool // they make an Injection, no pod
	draws  draws
}

// newDice returns dice that are wild in so many cases of a hundred.
func newDice(draws draws, seed, stream uint64, wild int) dice {
	d := dice{Rand: rand.New(rand.NewPCG(seed, stream)), draws: draws}
	d.wild = d.chance(wild)

	return d
}

// odd is chance for wild dice; for others it is always false.
func (d dice) odd(percent int) bool { return d.chance(percent) && d.wild }

// chance is true in so many cases of a hundred.
func (d dice) chance(percent int) bool { return d.IntN(100) < percent }

func pick[T any](d dice, from ...T) T { return from[d.IntN(len(from))] }

// maybe is nil, or a pointer to one of the values.
func maybe[T any](d dice, percent int, from ...T) *T {
	if !d.chance(percent) {
		return nil
	}

	return new(pick(d, from...))
}

// some makes a list: none, one, a few, or as many as there can be.
func some[T any](d dice, most int, item func(i int) T) []T {
	n := pick(d, 0, 0, 1, 1, 2, min(3, most), most)

	var list []T
	for i := range min(n, most) {
		list = append(list, item(i))
	}

	return list
}

// names returns different names, in random order.
func names(d dice, prefix string, of int) []string {
	all := make([]string, of)
	for i, n := range d.Perm(of) {
		all[i] = fmt.Sprintf("%s-%d", prefix, n)
	}

	return all
}

func encode(t *testing.T, v any) []byte {
	t.Helper()

	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}

	return b
}

func decode[T any](t *testing.T, b []byte) (v T) {
	t.Helper()

	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%v in %s", err, b)
	}

	return v
}
