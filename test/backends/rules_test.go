package backends

import "testing"

func TestHurry(t *testing.T) {
	for name, tc := range map[string]struct{ reason, rules, want string }{
		"For":       {"An alert waits for seconds.", "for: 15m", "for: 15s"},
		"Hours":     {"An hour is a minute.", "keep_firing_for: 1h", "keep_firing_for: 1m"},
		"Window":    {"It looks back as far.", "increase(x[15m]) or rate(y[6h])", "increase(x[15s]) or rate(y[6m])"},
		"Day":       {"A day is 24 minutes.", "max_over_time(up[1d])", "max_over_time(up[24m])"},
		"Offset":    {"YAML may have cut the line.", "x offset\n  15m", "x offset\n  15s"},
		"Bound":     {"A metric in seconds has a bound in seconds.", `max(y_seconds{sink="event"}) > 300`, `max(y_seconds{sink="event"}) > 5`},
		"CutBound":  {"YAML may have cut the line here, too.", "max(y_seconds)\n  > 60", "max(y_seconds)\n  > 1"},
		"Lifetime":  {"A certificate lasts as long as ever.", "x_seconds) - time() < 48 * 3600", "x_seconds) - time() < 48 * 3600"},
		"Name":      {"Names are no times.", "record: x:ratio_rate5m", "record: x:ratio_rate5m"},
		"Histogram": {"A bucket is no time.", `y_bucket{le="60"}[5m]`, `y_bucket{le="60"}[5s]`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(hurry([]byte(tc.rules))); got != tc.want {
				t.Errorf("%s: got %q, want %q", tc.reason, got, tc.want)
			}
		})
	}
}
