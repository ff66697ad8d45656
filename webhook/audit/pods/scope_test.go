package pods

import (
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestScopes narrows and widens a registration, and asks about pods of two
// namespaces.
func TestScopes(t *testing.T) {
	t.Parallel()

	only := func(tier string) *admissionregistrationv1.MutatingWebhook {
		w := &admissionregistrationv1.MutatingWebhook{NamespaceSelector: &metav1.LabelSelector{}}
		if tier != "" {
			w.NamespaceSelector.MatchLabels = map[string]string{"tier": tier}
		}

		return w
	}
	at := func(minute int) time.Time { return edited.Add(time.Duration(minute) * time.Minute) }
	cases := map[string]struct {
		reason string
		seen   []string // what the registration selected, one a minute
		tier   string
		in     bool
		since  int
		never  bool // it was in no scope
	}{
		"Installed": {reason: "Pods from before the installation are not missed.", seen: []string{""}, tier: "a", in: true, since: 0},
		"Outside":   {reason: "The registration never selected it.", seen: []string{"b"}, tier: "a", never: true},
		"Widened":   {reason: "Pods from before a widening are not missed.", seen: []string{"b", ""}, tier: "a", in: true, since: 1},
		"Kept":      {reason: "A widening is none for those that were in.", seen: []string{"b", ""}, tier: "b", in: true, since: 0},
		"Narrowed":  {reason: "Now it is out.", seen: []string{"", "b"}, tier: "a"},
		"PutBack":   {reason: "A narrowing that was put back was a bypass.", seen: []string{"", "b", ""}, tier: "a", in: true, since: 0},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			var s scopes
			for minute, tier := range tc.seen {
				s.see(only(tier), at(minute))
			}

			since, in := s.selects(nil, map[string]string{"tier": tc.tier})
			if in != tc.in || in && since.Until != at(tc.since) {
				t.Errorf("%s: got %v, %v; want %v, minute %d", tc.reason, since, in, tc.in, tc.since)
			}

			if got := s.ever(nil, map[string]string{"tier": tc.tier}); got == tc.never {
				t.Errorf("%s: it was ever in: %v", tc.reason, got)
			}
		})
	}
}

// TestScopesBound sees more scopes than are kept.
func TestScopesBound(t *testing.T) {
	t.Parallel()

	var s scopes

	for i := range 3 * maxScopes {
		w := &admissionregistrationv1.MutatingWebhook{ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"n": string(rune('a' + i))}}}
		if !s.see(w, edited) || s.see(w, edited) {
			t.Fatalf("scope %d is new once", i)
		}

		if _, in := s.selects(map[string]string{"n": string(rune('a' + i))}, nil); !in || len(s.All) > maxScopes {
			t.Fatalf("scope %d: in %v, %d kept", i, in, len(s.All))
		}
	}
}

// TestScopesConditions adds match conditions to a registration, and removes them.
// While they are there, nobody can tell which pods they leave out.
func TestScopesConditions(t *testing.T) {
	t.Parallel()

	var (
		s     scopes
		plain = &admissionregistrationv1.MutatingWebhook{}
		cond  = &admissionregistrationv1.MutatingWebhook{MatchConditions: []admissionregistrationv1.MatchCondition{{Name: "a", Expression: "true"}}}
		later = birth{edited.Add(time.Hour), edited.Add(time.Hour)}
	)

	for i, step := range []struct {
		seen *admissionregistrationv1.MutatingWebhook
		want State
	}{{plain, Missed}, {cond, Unsure}, {plain, Missed}} {
		s.see(step.seen, edited.Add(time.Duration(i)*time.Minute))

		since, in := s.selects(nil, nil)
		if got := since.of(later); !in || got != step.want {
			t.Errorf("step %d: in %v, state %v, want %v", i, in, got, step.want)
		}
	}
}
