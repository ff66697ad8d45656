package webhook

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// shelf has one object, or lacks it, and tells of changes.
type shelf struct {
	mu      sync.Mutex
	has     bool
	changed chan struct{}
}

func newShelf() *shelf { return &shelf{changed: make(chan struct{})} }

func (s *shelf) Look(string, patches.Required) (sight patches.Sight, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.has {
		return patches.Seen, ""
	}

	return patches.Gone, ""
}

// change changes something, and puts the object there or not.
func (s *shelf) change(has bool) {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.has = has
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *shelf) await(patches.Traits, string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.has {
		return nil
	}

	return s.changed
}

// requiring is an Injection that requires the object.
func requiring() *v1alpha1.Injection {
	in := injection("ca", "A", "a")
	in.Spec.Requires = []v1alpha1.Requirement{{Kind: v1alpha1.RequiredConfigMap, Name: "corp-ca"}}

	return in
}

// injector is one with such an Injection.
func (s *shelf) injector(requiring *v1alpha1.Injection, reported Reporter, o Options) *Injector {
	set := new(patches.Set).With(patches.Compile(requiring))
	o.Await = s.await

	return New(matchFunc(func(pod patches.Traits, namespace string) ([]patches.Match, error) {
		return set.Match(pod, patches.Namespace{Name: namespace, Known: true, Objects: s}), nil
	}), reported, o)
}

func (in *Injector) waits(outcome string) float64 {
	return testutil.ToFloat64(in.births.waits.WithLabelValues(outcome))
}

// TestBirths asks about pods whose object comes late, or never.
func TestBirths(t *testing.T) {
	cases := map[string]struct {
		reason   string
		comes    time.Duration // 0: never
		patience time.Duration
		dryRun   bool
		takes    time.Duration
		want     string // the failure
		counts   string
	}{
		"Comes":   {"One apply makes the namespace, the ConfigMap and the pods.", 100 * time.Millisecond, 0, false, 100 * time.Millisecond, "", waitCame},
		"Never":   {"The pod starts without, not much later.", 0, 0, false, birthPatience, "InjectionUnmet", waitMissing},
		"TooLate": {"The next pod has it.", time.Second, 0, false, birthPatience, "InjectionUnmet", waitMissing},
		"DryRun":  {"Of a dry run nothing comes.", 0, 0, true, 0, "", ""},
		"Impatient": {
			"An API server that waits for a second only must still get an answer that is not late.",
			0, time.Second, false, 225 * time.Millisecond, "InjectionUnmet", waitMissing,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, reported, began := newShelf(), &reports{}, time.Now()
				in := s.injector(requiring(), reported, Options{Patience: tc.patience})

				time.AfterFunc(50*time.Millisecond, func() { s.change(false) }) // something else changes

				if tc.comes > 0 {
					time.AfterFunc(tc.comes, func() { s.change(true) })
				}

				review := checkout(t)
				if tc.dryRun {
					review = strings.Replace(review, `"dryRun":false`, `"dryRun":true`, 1)
				}

				if w := post(in, review); w.Code != http.StatusOK {
					t.Fatalf("status %d", w.Code)
				}

				got := ""
				for _, r := range reported.reasons() {
					got += string(r)
				}

				if took := time.Since(began); took != tc.takes || got != tc.want {
					t.Errorf("%s\nit took %v, want %v; failures %q, want %q", tc.reason, took, tc.takes, got, tc.want)
				}

				for _, outcome := range []string{waitCame, waitMissing, waitFull} {
					want := 0.0
					if outcome == tc.counts {
						want = 1
					}

					if n := in.waits(outcome); n != want {
						t.Errorf("%s: %v waits %q, want %v", tc.reason, n, outcome, want)
					}
				}

				time.Sleep(time.Minute) // the bubble's clock; no timer is left
			})
		})
	}
}

// TestBirthsHoldNoSlot has more pods than may wait lack their object: the rest fails at
// once, and a pod that lacks nothing gets the only slot meanwhile.
func TestBirthsHoldNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reported := newShelf(), &reports{}
		in := s.injector(requiring(), reported, Options{MaxInFlight: 1})

		var all sync.WaitGroup
		for range maxBirths {
			all.Go(func() { post(in, checkout(t)) })
			synctest.Wait()
		}

		began := time.Now()
		post(in, checkout(t))

		if took := time.Since(began); took != 0 || in.waits(waitFull) != 1 || len(reported.all()) != 1 || reported.all()[0].Reason != failure.Unmet {
			t.Errorf("one more took %v, %v were turned away, failures %v", took, in.waits(waitFull), reported.all())
		}

		if !in.slots.TryAcquire(1) {
			t.Error("a review that waits holds a slot")
		} else {
			in.slots.Release(1)
		}

		s.change(true)
		all.Wait()

		// There is one slot, so some are shed: they came back all at once.
		if in.waits(waitCame) != maxBirths {
			t.Errorf("%v of %d came, failures %v", in.waits(waitCame), maxBirths, reported.reasons())
		}

		if !in.slots.TryAcquire(1) || !in.births.waiting.TryAcquire(maxBirths) {
			t.Error("a slot is not given back")
		}
	})
}

// TestBirthsEnd has the caller hang up during the wait.
func TestBirthsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, began := newShelf(), time.Now()
		in := s.injector(requiring(), &reports{}, Options{})

		r, err := decodeReview([]byte(checkout(t)))
		if err != nil {
			t.Fatal(err)
		}

		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		in.births.wait(ctx, r, in.births.enter(r), began.Add(birthPatience))

		if took := time.Since(began); took != time.Millisecond {
			t.Errorf("the review waited for %v", took)
		}
	})
}
