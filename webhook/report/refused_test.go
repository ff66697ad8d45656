package report

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// strict is a sink that takes failures of one namespace alone. Its calls take
// time, and are made within the budget, as those to the API server.
type strict struct {
	budget *budget
	takes  string

	mu      sync.Mutex
	refused int
	taken   map[failure.Ref]time.Time
}

func (s *strict) Write(ctx context.Context, e ledger.Entry) (ledger.Receipt, error) {
	if err := s.budget.Wait(ctx); err != nil {
		return e.Receipt, err
	}
	time.Sleep(20 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Owner.Namespace != s.takes {
		s.refused++

		return e.Receipt, errors.New("exceeded quota")
	}
	s.taken[e.Owner] = time.Now()

	return ledger.Receipt{Stored: e.Total}, nil
}

// calls returns how many calls were refused since it was last asked.
func (s *strict) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.refused
	s.refused = 0

	return n
}

// TestRefusedForEver: 10,000 keys are refused for ever. They cost a call a second
// at most, and a new owner's first failure is shown on that owner within two
// seconds.
func TestRefusedForEver(t *testing.T) {
	t.Parallel()
	const keys = 10_000
	cases := map[string]struct {
		reason     string
		namespaces int
	}{
		"OneNamespace":   {"A policy refuses the events of one namespace.", 1},
		"SomeNamespaces": {"A policy refuses the events of a team.", 100},
		"AllNamespaces":  {"A policy refuses nearly all events.", keys},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &strict{takes: "healthy", taken: map[failure.Ref]time.Time{}}
				r := reporter(Options{}, s)
				s.budget = r.budgets[0]
				end := start(t, r)
				for i := range keys {
					r.Report(owned(fmt.Sprintf("refused-%d", i%tc.namespaces), i))
				}
				for i := range 10 { // meanwhile, 10,000 namespaces wait for their first call
					time.Sleep(5 * time.Second)
					wantShown(t, r, s, keys+i)
				}
				time.Sleep(10 * time.Minute)
				s.calls()
				for i := range 10 {
					time.Sleep(time.Minute)
					wantShown(t, r, s, keys+10+i)
				}
				n := s.calls()
				if n > 10*60 {
					t.Errorf("%s %d refused calls in ten minutes", tc.reason, n)
				}
				t.Logf("%d refused calls in ten minutes", n)
				b := r.branches[0]
				b.locked(func() {
					if st := b.ledger.Stats(); st.Pending != keys || st.Pending+st.Reported != st.Added[failure.Conflict] {
						t.Errorf("%+v", st)
					}
				})
				end()
			})
		})
	}
}

// TestRefusalEnds: what was refused for an hour is shown within minutes.
func TestRefusalEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const keys = 1000
		s := &strict{takes: "healthy", taken: map[failure.Ref]time.Time{}}
		r := reporter(Options{}, s)
		s.budget = r.budgets[0]
		end := start(t, r)
		for i := range keys {
			r.Report(owned("quota", i))
		}
		for i := range 60 {
			r.Report(owned("healthy", keys+i))
			time.Sleep(time.Minute)
		}
		s.mu.Lock()
		s.takes = "quota"
		s.mu.Unlock()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := r.branches[0].pending(); n > 0 {
			t.Errorf("%d pending", n)
		}
		end()
	})
}

// wantShown reports a failure of a new owner, and fails the test unless it is
// shown on that owner within two seconds.
func wantShown(t *testing.T, r *Reporter, s *strict, i int) {
	t.Helper()
	f, before := owned(s.takes, i), time.Now()
	r.Report(f)
	time.Sleep(2 * time.Second)
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.taken[f.Owner]; !ok {
		t.Errorf("%d: not shown within two seconds", i)
	} else if took := at.Sub(before); took > time.Second {
		t.Logf("%d: shown after %v", i, took)
	}
}

// owned is a failure of an owner that needs no look-up.
func owned(namespace string, i int) failure.Failure {
	f := conflict("StatefulSet", fmt.Sprint(i))
	f.Owner.Namespace, f.Owner.UID = namespace, types.UID(fmt.Sprint(i))

	return f
}
