package report

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestBudget: the budget allows as many calls as it says, and at the end as
// many as there is time for.
func TestBudget(t *testing.T) {
	t.Parallel()
	r := reporter(Options{QPS: 0.001, Burst: 2}, newWrites())
	soon, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 2 {
		if err := r.budgets[0].Wait(soon); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.budgets[0].Wait(soon); err == nil {
		t.Error("a call over the budget")
	}

	ended, end := context.WithCancel(t.Context())
	end()
	if err := r.Run(ended); err != nil {
		t.Fatal(err)
	}
	for r.budgets[0].Wait(soon) != nil {
		if soon.Err() != nil {
			t.Fatal("the budget is not lifted at the end")
		}
	}
	if err := r.budgets[0].Wait(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}
