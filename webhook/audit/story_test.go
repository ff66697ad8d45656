package audit

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// adding is an Injection that adds an init container.
func adding(name string) suspect {
	return suspect{injection: patches.Compile(&v1alpha1.Injection{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec: v1alpha1.InjectionSpec{
			Selector: &metav1.LabelSelector{}, InitContainers: []corev1.Container{{Name: name, Image: "x"}},
		},
	})}
}

// TestIsRefused tells a refusal in a trial from one of before that is heard late.
func TestIsRefused(t *testing.T) {
	known := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	cases := map[string]struct {
		reason   string
		at       time.Duration // when it is heard, after all replicas know of the trial
		happened time.Duration // when it was, likewise; zero: unknown
		kind     kindOfRefusal
		words    string
		want     bool
	}{
		"InTheTrial":    {"The pod of the trial was refused.", 2 * time.Second, time.Second, lastingRefusal, "no", true},
		"HeardLate":     {"A controller manager in a storm sends its events late.", time.Minute, -3 * time.Second, lastingRefusal, "no", false},
		"SoonAfter":     {"An event has whole seconds.", time.Second, -500 * time.Millisecond, lastingRefusal, "no", true},
		"BeforeKnown":   {"Another replica may have injected the pod.", -time.Second, 0, lastingRefusal, "no", false},
		"NoTime":        {"Not every event has one.", time.Second, 0, lastingRefusal, "no", true},
		"Other":         {"The API server was away.", time.Second, time.Second, otherRefusal, "no", false},
		"NamesAnother":  {"The second policy speaks once the first is content.", -time.Second, 0, lastingRefusal, "no container right", true},
		"NamesAsBefore": {"It is of a pod from before the trial: it names the one that is left out.", -time.Second, 0, lastingRefusal, "no containers left and right", false},
		"NamesTheSame":  {"Another replica may have injected the pod.", -time.Second, 0, lastingRefusal, "no container left", false},
		"NamesBefore":   {"It is the refusal that the trial began with.", -time.Minute, 0, lastingRefusal, "no container right", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := refusal{kind: tc.kind, words: tc.words, at: known.Add(tc.at)}
			if tc.happened != 0 {
				r.happened = known.Add(tc.happened)
			}

			trial := newTrial(v1alpha1.Withdrawal{}, []suspect{adding("left"), adding("right")}, known.Add(-3*time.Second))
			trial.changed, trial.spread, trial.without, trial.tried[0b01] = trial.began, known, 0b01, true

			if got := trial.isRefused(r); got != tc.want {
				t.Errorf("%s got %v", tc.reason, got)
			}
		})
	}
}

// TestClears has a suspect left out only when all replicas know that no other is: a pod
// that both were left out of proves nothing, and lacks one that it could have.
func TestClears(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	trial := newTrial(v1alpha1.Withdrawal{}, []suspect{adding("left"), adding("right")}, now)
	clears := func(after time.Duration, others bool, want time.Duration, reason string) {
		t.Helper()

		if got := trial.clears(others, now.Add(after)); got != want {
			t.Errorf("%s after %v got %v, want %v", reason, after, got, want)
		}
	}

	trial.plan(0b01)
	clears(0, false, 0, "Nothing was left out before.")
	trial.begin(now)

	trial.plan(0b11)
	clears(time.Second, false, -time.Second, "The one that is left out stays out.")
	trial.begin(now)

	trial.plan(0b10)
	clears(time.Second, true, firstPoll, "The other is known to be left out.")
	clears(2*time.Second, false, spread, "Other replicas may know it still.")
	clears(3*time.Second, true, firstPoll, "It was left out once more, by another trial of the same CronJob.")
	clears(4*time.Second, false, spread, "Other replicas may know it still.")
	clears(4*time.Second+spread, false, 0, "All replicas know.")

	trial.begin(now)

	if trial.without != 0b10 || trial.planned != 0 || !trial.tried[0b10] {
		t.Errorf("it got %+v, want the other left out and tried", trial)
	}
}

// TestMaySuspect lets be for a while what was acquitted, and nothing else.
func TestMaySuspect(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	of := func(template string) v1alpha1.Withdrawal {
		return v1alpha1.Withdrawal{Kind: "StatefulSet", Template: template}
	}
	left, both := []suspect{adding("left")}, []suspect{adding("left"), adding("right")}

	lasting := refusal{kind: lastingRefusal, words: `pods "web-1" is forbidden: no image app`}
	ended := newTrial(of("old"), left, now)
	ended.without = everyone(1)

	s := story{hearing: hearing{newest: lasting}}
	s.acquit(ended, now)

	for name, tc := range map[string]struct {
		reason   string
		template string
		all      []suspect
		at       time.Duration
		newest   refusal
		want     bool
	}{
		"Same":    {"It was acquitted just now.", "old", left, firstWait - 1, lasting, false},
		"Later":   {"What refuses the pods may be another thing now.", "old", left, firstWait, lasting, true},
		"Rollout": {"A new template is a new try.", "new", left, 0, lasting, true},
		"More":    {"One more Injection may be to blame.", "old", both, 0, lasting, true},
		"None":    {"There is none to blame.", "new", nil, 0, lasting, false},
		"OtherPod": {
			"The same words, of another pod.", "old", left, firstWait - 1,
			refusal{kind: lastingRefusal, words: `pods "web-2" is forbidden: no image app`},
			false,
		},
		"OtherWords": {
			"What refused the pod without Injections has ended, and an Injection is refused as well.", "old", left, otherWait,
			refusal{kind: lastingRefusal, words: `pods "web-2" is forbidden: no container left`},
			true,
		},
		"OtherWordsAtOnce": {
			"The first of two rules may hide the other for as long as both last.", "old", left, otherWait - 1,
			refusal{kind: lastingRefusal, words: `pods "web-2" is forbidden: no container left`},
			false,
		},
		"OtherFigures": {
			"A quota says how much is used.", "old", left, firstWait - 1,
			refusal{kind: passingRefusal, words: `pods "web-2" is forbidden: exceeded quota: q, used: cpu=2`},
			false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s.newest = tc.newest

			if got := s.maySuspect(of(tc.template), tc.all, now.Add(tc.at)); got != tc.want {
				t.Errorf("%s got %v", tc.reason, got)
			}
		})
	}
}

// TestIsAfter takes a refusal for what is known only if it came surely later.
func TestIsAfter(t *testing.T) {
	moment := time.Date(2026, 11, 25, 12, 0, 1, 0, time.UTC)
	for name, tc := range map[string]struct {
		reason       string
		at, happened time.Time
		want         bool
	}{
		"Later":     {"It happened and was heard later.", moment.Add(3 * time.Second), moment.Add(2 * time.Second), true},
		"HeardLate": {"It happened before, and was heard in a storm.", moment.Add(time.Minute), moment.Add(-time.Second), false},
		"Before":    {"It was heard before.", moment.Add(-time.Second), time.Time{}, false},
		"NoTime":    {"The event does not say when.", moment.Add(time.Second), time.Time{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (refusal{at: tc.at, happened: tc.happened}).isAfter(moment); got != tc.want {
				t.Errorf("%s got %v", tc.reason, got)
			}
		})
	}

	if !(refusal{at: moment, happened: moment}).isAfter(story{}.convicted) {
		t.Error("the first refusal counts")
	}
}
