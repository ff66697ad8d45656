package canary

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestState plays answers, a minute apart, and looks at what is known, and at the
// events that are owed. Each event is written at once, unless its case says that
// it can't be.
func TestState(t *testing.T) {
	// A letter is one pod: w(ell), b(ypassed), u(nclear). A capital has another cause:
	// C(ertificate).
	cases := map[string]struct {
		reason  string
		answers string
		mute    bool // events can't be written
		results string
		told    []string
	}{
		"Well": {
			reason:  "Nothing is told while all is well.",
			answers: "wwww", results: "wwww",
		},
		"OneAlone": {
			reason:  "One pod, or two, may have met a replica that was just leaving.",
			answers: "wbwbbwu", results: "wwwwwwu",
		},
		"Outage": {
			reason:  "Three in a row are an outage, and three in a row its end.",
			answers: "wbbbbbwww", results: "wwwrrrrrw",
			told: []string{"warning refused", "normal"},
		},
		"Unclear": {
			reason:  "If nothing is known, no outage begins, and none ends.",
			answers: "bbubbubbbwwuwwuwww", results: "wwuwwuwwrrrrrrrrrw",
			told: []string{"warning refused", "normal"},
		},
		"OtherCause": {
			reason:  "Another cause is told once it was found twice in a row.",
			answers: "bbbCbCCb", results: "wwrrrrcc",
			told: []string{"warning refused", "warning certificate"},
		},
		"Late": {
			reason:  "While it is put right, a look comes too late. That changes no event.",
			answers: "bbbCwww", results: "wwrrrrw",
			told: []string{"warning refused", "normal"},
		},
		"Flaps": {
			reason:  "Each outage has its events.",
			answers: "bbbwwwbbbwww", results: "wwrrrwwwrrrw",
			told: []string{"warning refused", "normal", "warning refused", "normal"},
		},
		"Mute": {
			reason:  "As far as anyone was told, it is one outage.",
			answers: "bbbwwwbbb", mute: true, results: "wwrrrwwwr",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var (
				s       state
				now     = time.Unix(1_000_000, 0)
				results strings.Builder
				told    []string
			)

			for _, letter := range tc.answers {
				now = now.Add(time.Minute)
				v, f := map[rune]verdict{'w': asked, 'b': bypassed, 'C': bypassed, 'u': unclear}[letter], finding{Result: Refused}

				if letter == 'C' {
					f = finding{Result: Certificate}
				}

				if s.see(v, now) {
					s.found(f)
				}

				results.WriteString(map[Result]string{Well: "w", Unknown: "u", Refused: "r", Certificate: "c"}[s.result()])

				warning, normal := s.mark.owes(now)
				if warning && !tc.mute {
					told, s.mark.Told = append(told, "warning "+string(s.mark.Finding.Result)), now
				}

				if normal && !tc.mute {
					told, s.mark.ToldEnd = append(told, "normal"), true
				}
			}

			if results.String() != tc.results {
				t.Errorf("%s\n%s is known as\n%s, want\n%s", tc.reason, tc.answers, results.String(), tc.results)
			}

			if diff := cmp.Diff(tc.told, told); diff != "" {
				t.Errorf("%s\ntold: -want +got\n%s", tc.reason, diff)
			}
		})
	}
}

// TestNextLeader begins with the mark of another leader.
func TestNextLeader(t *testing.T) {
	began := time.Unix(1_000_000, 0)
	now := began.Add(10 * time.Minute)
	lasts := mark{Began: began, Finding: finding{Result: Refused}, Told: began}
	over := mark{Began: began, Ended: began.Add(time.Minute), Told: began, ToldEnd: true}

	cases := map[string]struct {
		reason          string
		mark            mark
		at              time.Time
		warning, normal bool
	}{
		"Told":       {"It was told.", lasts, now, false, false},
		"Untold":     {"The last leader was killed before it could tell.", mark{Began: began, Finding: lasts.Finding}, now, true, false},
		"Expires":    {"The event of an outage that lasts is written again before it expires.", lasts, began.Add(refresh), true, false},
		"Over":       {"All was told.", over, began.Add(24 * time.Hour), false, false},
		"EndUntold":  {"The last leader was killed before it could tell the end.", mark{Began: began, Ended: now, Told: began}, now, false, true},
		"BothUntold": {"An outage that is over is told all the same.", mark{Began: began, Ended: now}, now, true, true},
		"None":       {"There was no outage.", mark{}, now, false, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if warning, normal := tc.mark.owes(tc.at); warning != tc.warning || normal != tc.normal {
				t.Errorf("%s\nIt owes a warning: %t, and a normal event: %t", tc.reason, warning, normal)
			}
		})
	}

	s := state{mark: lasts}
	if !s.hurries() {
		t.Error("a new leader looks soon")
	}

	for range turn {
		now = now.Add(time.Second)
		s.see(asked, now)
	}

	if s.mark.lasts() || s.mark.Began != began || s.hurries() {
		t.Errorf("three pods were asked about, and the mark is %+v", s.mark)
	}
}
