package house

import (
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// promRule is an alert, or a recording rule, of config/prometheus/rule.yaml.
type promRule struct {
	Alert, Record, Expr string
	Labels, Annotations map[string]string
}

// promRules returns all of them.
func promRules(t *testing.T) (all []promRule) {
	t.Helper()

	var object struct {
		Spec struct{ Groups []struct{ Rules []promRule } }
	}
	if err := yaml.Unmarshal(read(t, "config/prometheus/rule.yaml"), &object); err != nil {
		t.Fatal(err)
	}

	for _, g := range object.Spec.Groups {
		all = append(all, g.Rules...)
	}

	if len(all) < 20 {
		t.Fatalf("found %d rules", len(all))
	}

	return all
}

// TestAlertsCanBeRouted checks that each alert has a severity, a runbook that is there,
// and the labels `cluster` and `namespace`, by which Alertmanager finds the team.
// promtool holds the rest (make rules).
func TestAlertsCanBeRouted(t *testing.T) {
	const docs = "https://github.com/telltale-dev/telltale/blob/main/docs/operate.md#"

	operate := string(read(t, "docs/operate.md"))

	for _, r := range promRules(t) {
		if r.Alert == "" {
			continue
		}

		if s := r.Labels["severity"]; s != "warning" && s != "critical" {
			t.Errorf("%s: severity %q", r.Alert, s)
		}

		anchor, ours := strings.CutPrefix(r.Annotations["runbook_url"], docs)
		if heading := "\n### " + r.Alert + "\n"; !ours || !strings.EqualFold(anchor, r.Alert) || !strings.Contains(operate, heading) {
			t.Errorf("%s: docs/operate.md has no heading for the runbook %q", r.Alert, r.Annotations["runbook_url"])
		}

		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: no summary, or no description", r.Alert)
		}
	}
}

// TestRulesKeepLabels checks that no rule adds up clusters or, unless it says which
// namespace is meant, namespaces.
func TestRulesKeepLabels(t *testing.T) {
	sum := regexp.MustCompile(`\b(?:sum|max|min|count|avg|group)\b *(by \([^)]*\))?`)

	for _, r := range promRules(t) {
		name, fixed := r.Alert+r.Record, r.Labels["namespace"] != "" || strings.HasPrefix(r.Record, "cluster:")

		for _, found := range sum.FindAllStringSubmatch(r.Expr, -1) {
			if !strings.Contains(found[1], "cluster") || !fixed && !strings.Contains(found[1], "namespace") {
				t.Errorf("%s: %q leaves out a label", name, found[0])
			}
		}
	}
}

// TestMetricsAreThere checks that the README has each metric of the code, and that
// each of ours in a rule is in the code, or recorded.
func TestMetricsAreThere(t *testing.T) {
	there := map[string]bool{}
	readme := string(read(t, "README.md"))

	for _, file := range goFiles(t) {
		if !strings.HasPrefix(file, "webhook/") || strings.HasSuffix(file, "_test.go") {
			continue
		}

		for _, name := range regexp.MustCompile(`"(telltale_\w+)"`).FindAllStringSubmatch(string(read(t, file)), -1) {
			there[name[1]] = true

			if !strings.Contains(readme, "`"+name[1]) {
				t.Errorf("README.md does not have %s", name[1])
			}
		}
	}

	for _, r := range promRules(t) {
		there[r.Record] = true
	}

	histogram := regexp.MustCompile(`_(bucket|count|sum)$`)

	for _, r := range promRules(t) {
		for _, name := range regexp.MustCompile(`[\w:]*\btelltale_[\w:]+`).FindAllString(r.Expr, -1) {
			if !there[name] && !there[histogram.ReplaceAllString(name, "")] {
				t.Errorf("%s%s: there is no metric %s", r.Alert, r.Record, name)
			}
		}
	}
}

// TestAlertsHaveUnitTests checks that each alert fires in a unit test of promtool, and
// does not in another.
func TestAlertsHaveUnitTests(t *testing.T) {
	var file struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string
				ExpAlerts []any `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal(read(t, "config/prometheus/rule_test.yaml"), &file); err != nil {
		t.Fatal(err)
	}

	fires, quiet := map[string]bool{}, map[string]bool{}

	for _, test := range file.Tests {
		for _, a := range test.AlertRuleTest {
			fires[a.Alertname] = fires[a.Alertname] || len(a.ExpAlerts) > 0
			quiet[a.Alertname] = quiet[a.Alertname] || len(a.ExpAlerts) == 0
		}
	}

	for _, r := range promRules(t) {
		if r.Alert != "" && (!fires[r.Alert] || !quiet[r.Alert]) {
			t.Errorf("%s: config/prometheus/rule_test.yaml has it fire: %v, and not fire: %v", r.Alert, fires[r.Alert], quiet[r.Alert])
		}
	}
}
