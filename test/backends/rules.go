package backends

import (
	"fmt"
	"os"
	"regexp"
	"strconv"

	"sigs.k8s.io/yaml"
)

// rules are those of the PrometheusRule, as Prometheus reads them.
func (s Scrape) rules() (string, error) {
	data, err := os.ReadFile(s.Rules)
	if err != nil {
		return "", err
	}
	var object struct {
		Spec map[string]any `json:"spec"`
	}
	if err := yaml.Unmarshal(data, &object); err != nil {
		return "", fmt.Errorf("cannot read %s: %w", s.Rules, err)
	}
	out, err := yaml.Marshal(object.Spec)
	if err == nil && s.Hurry {
		out = hurry(out)
	}

	return string(out), err
}

// hurry makes each time in rules a sixtieth: a minute becomes a second, and an hour a
// minute. These are the times that an alert waits and looks back, and bounds of metrics
// that count seconds. How long a certificate must last stays as it is.
func hurry(rules []byte) []byte {
	long := regexp.MustCompile(`(for: |\[|offset\s+)(\d+)([mh])\b`)
	days := regexp.MustCompile(`\[(\d+)d\]`)
	bound := regexp.MustCompile(`(_seconds(?:\{[^}]*\})?\)\s+[<>] )(\d+)`)
	unit := map[string]string{"m": "s", "h": "m"}

	rules = replace(long, rules, func(part []string) string { return part[1] + part[2] + unit[part[3]] })
	rules = replace(days, rules, func(part []string) string { return "[" + times(part[1], 24) + "m]" })

	return replace(bound, rules, func(part []string) string { return part[1] + times(part[2], 1./60) })
}

func replace(expr *regexp.Regexp, in []byte, by func(part []string) string) []byte {
	return expr.ReplaceAllFunc(in, func(found []byte) []byte {
		return []byte(by(expr.FindStringSubmatch(string(found))))
	})
}

func times(number string, factor float64) string {
	n, _ := strconv.ParseFloat(number, 64) // it has digits only

	return strconv.FormatFloat(n*factor, 'g', -1, 64)
}
