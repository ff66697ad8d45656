package freshness

import (
	"encoding/json"
	"maps"
	"testing"
	"time"
)

// told is a heartbeat as text.
func told(t *testing.T, at time.Time, behind bool, upTo, newest int) string {
	t.Helper()

	text, err := json.Marshal(heartbeat{At: at, Behind: behind, View: view(upTo, newest)})
	if err != nil {
		t.Fatal(err)
	}

	return string(text)
}

// TestComparison follows one replica beside what others tell, or do not tell, every
// 3 s.
func TestComparison(t *testing.T) {
	type state struct {
		inStep, ready, behind bool
		lacks                 string // the replica that lacks edit 100
	}

	up := state{inStep: true, ready: true}
	waiting := state{inStep: true, ready: true, lacks: "b"}

	cases := map[string]struct {
		reason string
		own    View
		others func(beat int, at time.Time) map[string]string
		want   map[int]state // by heartbeat
	}{
		"Alone": {
			"With one replica nothing changes.",
			view(100, 100), func(int, time.Time) map[string]string { return nil },
			map[int]state{0: up, 20: up},
		},
		"Same": {
			"All have it.",
			view(100, 100), func(_ int, at time.Time) map[string]string {
				return map[string]string{"b": told(t, at, false, 100, 100)}
			},
			map[int]state{0: up, 20: up},
		},
		"Bookmark": {
			"An idle kind has no news, whoever has the later bookmark.",
			view(100, 100), func(_ int, at time.Time) map[string]string {
				return map[string]string{"b": told(t, at, false, 9000, 90)}
			},
			map[int]state{0: up, 20: up},
		},
		"Deletion": {
			"The other has seen a deletion, at 120. This replica began after it: its list is newer than that.",
			view(130, 100), func(_ int, at time.Time) map[string]string {
				return map[string]string{"b": told(t, at, false, 125, 120)}
			},
			map[int]state{0: up, 20: up},
		},
		"Behind": {
			"It begins to trust its view only once it has what the other told.",
			view(100, 100), func(_ int, at time.Time) map[string]string {
				return map[string]string{"b": told(t, at, false, 120, 120)}
			},
			map[int]state{0: {}, 1: {behind: true}, 20: {behind: true}},
		},
		"FallsBehind": {
			"Within the bound all is as it was; then it says so, and is not ready.",
			view(100, 100), func(beat int, at time.Time) map[string]string {
				return map[string]string{"b": told(t, at, false, 100+beat, 100+beat)}
			},
			map[int]state{0: up, 4: up, 5: {behind: true}, 20: {behind: true}},
		},
		"BehindOneAnother": {
			"The other has said that it is behind, so this replica stays ready, with failures.",
			view(100, 100), func(_ int, at time.Time) map[string]string { return map[string]string{"b": told(t, at, true, 50, 120)} },
			map[int]state{1: {ready: true, behind: true}},
		},
		"OtherBehind": {
			"A replica that has an edit not yet is waited for.",
			view(100, 100), func(_ int, at time.Time) map[string]string { return map[string]string{"b": told(t, at, false, 90, 90)} },
			map[int]state{0: waiting, 20: waiting},
		},
		"OtherSaysSo": {
			"One that says that it is behind is not.",
			view(100, 100), func(_ int, at time.Time) map[string]string { return map[string]string{"b": told(t, at, true, 90, 90)} },
			map[int]state{0: up, 20: up},
		},
		"OtherKilled": {
			"Nor is one that is silent for more than 10 s.",
			view(100, 100), func(int, time.Time) map[string]string {
				return map[string]string{"b": told(t, time.Unix(0, 0), false, 90, 90)}
			},
			map[int]state{0: waiting, 3: waiting, 4: up},
		},
		"AheadAndKilled": {
			"The only one that is ahead is gone: this one is ready again, and still lacks something.",
			view(100, 100), func(beat int, _ time.Time) map[string]string {
				return map[string]string{"b": told(t, time.Unix(int64(min(beat, 8)), 0), false, 120, 120)}
			},
			map[int]state{7: {behind: true}, 20: {ready: true, behind: true}},
		},
		"OtherVersion": {
			"Heartbeats that can't be read, or tell of other kinds, are not compared.",
			view(100, 100), func(_ int, at time.Time) map[string]string {
				return map[string]string{"b": at.String(), "c": "[]", "d": `{"upTo": {"Gadget": "1"}, "newest": {"Gadget": "999"}}`}
			},
			map[int]state{0: up, 20: up},
		},
		"NotComparable": {
			"Nor are resourceVersions that are no numbers.",
			view(100, 100), func(_ int, at time.Time) map[string]string {
				return map[string]string{"b": `{"at": "` + at.Format(time.RFC3339) + `", "upTo": {"Injection": "x9"}, "newest": {"Injection": "x9"}}`}
			},
			map[int]state{0: up, 20: up},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(0, 0)
			c := newComparison("a", now)

			for beat := range 21 {
				own, err := json.Marshal(c.say(tc.own, now))
				if err != nil {
					t.Fatal(err)
				}

				all := map[string]string{"a": string(own)}
				maps.Copy(all, tc.others(beat, now))

				c.hear(all, tc.own, now, now)

				got := state{c.inStep, !c.unready, c.said.Behind, c.lacks("Injection", "100")}
				if want, ok := tc.want[beat]; ok && got != want {
					t.Errorf("%s heartbeat %d: got %+v, want %+v", tc.reason, beat, got, want)
				}

				now = now.Add(latest)
			}
		})
	}
}

// TestOutOfTouch has no heartbeat get through. A replica beside others trusts its
// view for 8 s, one that is alone for ever. Both stay ready, and their view's age
// grows.
func TestOutOfTouch(t *testing.T) {
	for name, tc := range map[string]struct {
		others map[string]string
		trusts bool
	}{
		"Alone":  {nil, true},
		"Beside": {map[string]string{"b": told(t, time.Unix(0, 0), false, 100, 100)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			start, own := time.Unix(0, 0), view(100, 100)
			c := newComparison("a", start)
			c.say(own, start)
			c.hear(tc.others, own, start, start.Add(time.Second))

			c.tick(start.Add(outOfTouch - 1))

			if !c.inStep || c.age(start.Add(outOfTouch)) != 0 {
				t.Error("it does not trust its view before")
			}

			c.tick(start.Add(outOfTouch))

			if c.inStep != tc.trusts || c.unready {
				t.Errorf("it trusts its view: %t, it is ready: %t", c.inStep, !c.unready)
			}

			if age := c.age(start.Add(time.Minute)); age != time.Minute {
				t.Errorf("the view's age is %v", age)
			}

			c.say(own, start.Add(time.Minute))
			c.hear(tc.others, own, start.Add(time.Minute), start.Add(time.Minute))

			if !c.inStep || c.age(start.Add(time.Minute)) != 0 {
				t.Error("it does not trust its view once it got through")
			}
		})
	}
}
