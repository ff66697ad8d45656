package audit

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestMayTry bounds the trials of a namespace, and of all. A trial that its
// controller lets wait keeps no other from beginning in its namespace.
func TestMayTry(t *testing.T) {
	r := &Refusals{trials: map[string]int{}}

	var shop []*trial
	for i := range trialsAtOnce {
		if !r.mayTry("shop") {
			t.Fatalf("%d trials, and no more may begin", i)
		}

		shop = append(shop, newTrial(keyed("shop", fmt.Sprint(i)), nil, time.Now()))
		r.count(shop[i], 1)
	}

	if r.mayTry("shop") || !r.mayTry("other") {
		t.Error("want a bound for the namespace, and for no other")
	}

	if !r.letWait(shop[0]) {
		t.Error("it may wait")
	}

	if !r.mayTry("shop") {
		t.Error("a trial that waits keeps others from beginning")
	}

	for i := range manyWithdrawals - trialsAtOnce + 1 {
		r.count(newTrial(keyed(fmt.Sprint(i), "one"), nil, time.Now()), 1)
	}

	if r.mayTry("shop") || r.mayTry("other") {
		t.Errorf("more than %d trials may go on", manyWithdrawals)
	}

	for _, one := range shop {
		r.count(one, -1)
	}

	if len(r.trials) != manyWithdrawals-trialsAtOnce+1 || !r.mayTry("shop") {
		t.Errorf("trials that have ended count: %v", r.trials)
	}
}

// TestSlowTrials has many controllers let their trials wait. They keep no other trial
// from beginning anywhere, and only so many do wait.
func TestSlowTrials(t *testing.T) {
	r := &Refusals{trials: map[string]int{}}
	draw := rand.New(rand.NewPCG(3, 11))

	var fast, waiting []*trial

	for i := range 5000 {
		namespace := fmt.Sprint("shop-", draw.IntN(9))

		switch may := r.mayTry(namespace); {
		case may != (len(fast) < manyWithdrawals && r.trials[namespace] < trialsAtOnce):
			t.Fatalf("%d may: %t, with %d trials, %d in the namespace, and %d that wait", i, may, len(fast), r.trials[namespace], len(waiting))
		case may && draw.IntN(3) > 0:
			fast = append(fast, newTrial(keyed(namespace, fmt.Sprint(i)), nil, time.Now()))
			r.count(fast[len(fast)-1], 1)
		case len(fast) > 0:
			one := fast[0]
			if fast = fast[1:]; r.letWait(one) {
				waiting = append(waiting, one)
			} else {
				r.count(one, -1)
			}
		}

		if draw.IntN(5) == 0 && len(waiting) > 0 {
			r.count(waiting[0], -1)
			waiting = waiting[1:]
		}
		if len(waiting) > manyWithdrawals || r.trials[""] != len(waiting) {
			t.Fatalf("%d wait, and %d are counted", len(waiting), r.trials[""])
		}
	}

	if len(waiting) < manyWithdrawals/2 {
		t.Fatalf("only %d wait: draw more", len(waiting))
	}

	for _, one := range append(fast, waiting...) {
		r.count(one, -1)
	}

	if len(r.trials) > 0 {
		t.Errorf("trials that have ended count: %v", r.trials)
	}
}
