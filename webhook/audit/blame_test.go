package audit

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestNextTrial refuses the pods until all that are to blame are left out, and
// counts the trials.
func TestNextTrial(t *testing.T) {
	cases := map[string]struct {
		reason string
		all    int
		// blamed are to be left out together; names are those that a refusal names
		// while they are not. If it always says the same, it names all of them at once.
		blamed, names suspects
		always        bool
		want          []suspects
	}{
		"NamedFirst":      {"The text names the third.", 3, 0b100, 0b100, false, []suspects{0b100}},
		"NamedBoth":       {"One refusal names one, the next the other.", 3, 0b101, 0b101, false, []suspects{0b001, 0b101}},
		"OneByOne":        {"The text names none.", 3, 0b100, 0, false, []suspects{0b001, 0b010, 0b100}},
		"Pair":            {"Two are to blame, and none is named.", 3, 0b101, 0, false, []suspects{0b001, 0b010, 0b100, 0b011, 0b101}},
		"All":             {"All are to blame.", 3, 0b111, 0, false, []suspects{0b001, 0b010, 0b100, 0b011, 0b101, 0b110, 0b111}},
		"NamedWrongly":    {"The text names one that is not to blame.", 2, 0b10, 0b01, false, []suspects{0b01, 0b10}},
		"NotOurs":         {"Nothing helps.", 2, 0b100, 0, false, []suspects{0b01, 0b10, 0b11, 0}},
		"OnlyOne":         {"The one is to blame.", 1, 0b1, 0, false, []suspects{0b1}},
		"OnlyOneNot":      {"The one is not to blame.", 1, 0b10, 0b1, false, []suspects{0b1, 0}},
		"ManySuspects":    {"More than are tried in pairs.", 7, 0b1000, 0, false, []suspects{0b1, 0b10, 0b100, 0b1000}},
		"ManyNoPairs":     {"All at once after the singles.", 7, 0b1111111, 0, false, []suspects{1, 2, 4, 8, 16, 32, 64, 127}},
		"MostSuspects":    {"As many as there are bits.", maxSuspects, 1, 1, false, []suspects{1}},
		"NamedWithBlamed": {"The text names one more than is to blame.", 3, 0b100, 0b110, true, []suspects{0b010, 0b100}},
		"NamedAllBlamed":  {"The text names two, and both are to blame.", 3, 0b110, 0b110, true, []suspects{0b010, 0b100, 0b110}},
		"NoSuspectLeft":   {"No suspects at all.", 0, 1, 0, false, []suspects{0}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got []suspects

			tried, now := map[suspects]bool{}, suspects(0)
			for {
				named := tc.names
				if !tc.always {
					named = 0
				}

				(tc.names &^ now).each(func(i int) {
					if named == 0 {
						named = 1 << i
					}
				})

				now = nextTrial(tc.all, tried, now, named)
				tried[now] = true

				if got = append(got, now); now == 0 || tc.blamed&^now == 0 {
					break
				}
			}

			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
