package v1alpha1

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestRetryAsked(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	until := metav1.NewTime(now.Add(time.Hour))
	of := func(phase WithdrawalPhase, since time.Time) Withdrawal {
		w := Withdrawal{Phase: phase, Since: metav1.NewTime(since), Tries: 2}
		if phase == WithdrawnPhase {
			w.Until = &until
		}

		return w
	}
	withdrawn, older, trial := of(WithdrawnPhase, now.Add(-time.Minute)), of(WithdrawnPhase, now.Add(-time.Hour)), of(TrialPhase, now.Add(-time.Minute))
	ended, before := of(RetryPhase, now), of(RetryPhase, now.Add(-2*time.Hour))

	cases := map[string]struct {
		reason     string
		annotation string
		from, want []Withdrawal
	}{
		"All": {
			"The value for some withdrawals ends all of them, and no trial: its outcome is still to come.",
			AskRetry([]Withdrawal{older, withdrawn, trial, before}),
			[]Withdrawal{older, withdrawn, trial, before},
			[]Withdrawal{ended, ended, trial, before},
		},
		"Later": {
			"A withdrawal that began after the time is a new one.",
			AskRetry([]Withdrawal{older}),
			[]Withdrawal{older, withdrawn},
			[]Withdrawal{ended, withdrawn},
		},
		"Future": {
			"It would end each new withdrawal at once, until then.",
			now.Add(time.Second).Format(time.RFC3339),
			[]Withdrawal{withdrawn},
			[]Withdrawal{withdrawn},
		},
		"ByHand": {"An administrator writes the time of now.", now.Format(time.RFC3339), []Withdrawal{withdrawn}, []Withdrawal{ended}},
		"NoTime": {"Nothing can be told from it.", "now", []Withdrawal{withdrawn}, []Withdrawal{withdrawn}},
		"None":   {"Most Injections have no annotation.", "", []Withdrawal{withdrawn}, []Withdrawal{withdrawn}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := RetryAsked(tc.annotation, append([]Withdrawal{}, tc.from...), now)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n(-want +got):\n%s", tc.reason, diff)
			}
		})
	}

	if asked := AskRetry([]Withdrawal{trial, before}); asked != "" {
		t.Errorf("there is nothing to end, but %q is asked", asked)
	}
}
