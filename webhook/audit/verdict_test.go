package audit

import (
	"fmt"
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

	r.isSlow(shop[0])

	if !r.mayTry("shop") {
		t.Error("a trial that waits keeps others from beginning")
	}

	for i := range manyWithdrawals - trialsAtOnce {
		r.count(newTrial(keyed(fmt.Sprint(i), "one"), nil, time.Now()), 1)
	}

	if r.mayTry("shop") || r.mayTry("other") {
		t.Errorf("more than %d trials may go on", manyWithdrawals)
	}

	for _, one := range shop {
		r.count(one, -1)
	}

	if len(r.trials) != manyWithdrawals-trialsAtOnce || !r.mayTry("shop") {
		t.Errorf("trials that have ended count: %v", r.trials)
	}
}
