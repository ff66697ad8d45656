//go:build observe

package config_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/telltale-dev/telltale/test/backends"
)

// ruleGroups are the groups of a PrometheusRule, as promtool reads them.
type ruleGroups struct {
	Groups []ruleGroup `json:"groups"`
}

type ruleGroup struct {
	Name  string `json:"name"`
	Rules []rule `json:"rules"`
}

type rule struct {
	Alert         string            `json:"alert,omitempty"`
	Record        string            `json:"record,omitempty"`
	Expr          string            `json:"expr"`
	For           string            `json:"for,omitempty"`
	KeepFiringFor string            `json:"keep_firing_for,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// TestRules has promtool check the rules, and run their unit tests.
func TestRules(t *testing.T) {
	all := readRules(t)
	if out, err := backends.Promtool(t, nil, "check", "rules", "--lint=all", "--lint-fatal", writeRules(t, all)); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}

	if out, err := promtool(t, withoutAnnotations(all), read(t, "prometheus/rule_test.yaml")); err != nil {
		t.Errorf("promtool test rules: %v\n%s", err, out)
	}
}

// TestRulesAreTested breaks each rule on purpose, in each of some ways. The unit
// tests of the alerts that read it must notice; no others can.
func TestRulesAreTested(t *testing.T) {
	for i, group := range readRules(t).Groups {
		for j := range group.Rules {
			tests := testsOf(t, readRules(t).readers(group.Rules[j]))

			for way, change := range ways() {
				all := withoutAnnotations(readRules(t))
				broken := &all.Groups[i].Rules[j]
				before := *broken
				change(broken)

				if cmp.Equal(before, *broken) || before.Record != "" && way != "Never" {
					continue
				}

				t.Run(before.Alert+before.Record+way, func(t *testing.T) {
					t.Parallel()

					if _, err := promtool(t, all, tests); err == nil {
						t.Error("the unit tests do not notice")
					}
				})
			}
		}
	}
}

// ways are those in which a rule may be broken.
func ways() map[string]func(*rule) {
	sign, cluster := regexp.MustCompile(`[<>] `), regexp.MustCompile(`by \(cluster(, )?`)

	return map[string]func(*rule){
		"Never":      func(r *rule) { r.Expr = "vector(0) > 1" },
		"Always":     func(r *rule) { r.Expr, r.For = "vector(1)", "" },
		"AtOnce":     func(r *rule) { r.For = "" },
		"NotKept":    func(r *rule) { r.KeepFiringFor = "" },
		"OtherSign":  func(r *rule) { r.Expr = sign.ReplaceAllString(r.Expr, "== ") },
		"NoCluster":  func(r *rule) { r.Expr = cluster.ReplaceAllString(r.Expr, "by (") },
		"NoSeverity": func(r *rule) { delete(r.Labels, "severity") },
		"NoNamespace": func(r *rule) {
			r.Expr = strings.ReplaceAll(r.Expr, ", namespace", "")
			r.Labels = map[string]string{"severity": r.Labels["severity"]}
		},
		"FirstPart": func(r *rule) {
			r.Expr, _, _ = strings.Cut(r.Expr, " or ")
			if open := strings.Count(r.Expr, "(") - strings.Count(r.Expr, ")"); open > 0 {
				r.Expr += strings.Repeat(")", open) + " > 0"
			}
		},
	}
}

// readRules reads the rules of config/prometheus.
func readRules(t *testing.T) ruleGroups {
	t.Helper()

	data, err := os.ReadFile("prometheus/rule.yaml")
	if err != nil {
		t.Fatal(err)
	}

	var object struct {
		Spec ruleGroups `json:"spec"`
	}
	if err := yaml.Unmarshal(data, &object); err != nil || len(object.Spec.Groups) == 0 {
		t.Fatalf("%d groups: %v", len(object.Spec.Groups), err)
	}

	return object.Spec
}

// withoutAnnotations leaves out the texts, which unit tests would have to repeat.
func withoutAnnotations(all ruleGroups) ruleGroups {
	for _, g := range all.Groups {
		for i := range g.Rules {
			g.Rules[i].Annotations = nil
		}
	}

	return all
}

// writeRules writes rules as promtool reads them, and returns the file.
func writeRules(t *testing.T, all ruleGroups) string {
	t.Helper()

	data, err := yaml.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}

	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}

	return file
}

// readers are the alerts that read a rule, itself or by other rules.
func (g ruleGroups) readers(of rule) []string {
	names := []string{of.Alert + of.Record}

	for i := 0; i < len(names); i++ {
		for _, group := range g.Groups {
			for _, r := range group.Rules {
				if name := r.Alert + r.Record; strings.Contains(r.Expr, names[i]) && !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}

	return names
}

// testsOf is rule_test.yaml with the unit tests of some alerts only.
func testsOf(t *testing.T, alerts []string) []byte {
	t.Helper()

	var file map[string]any
	if err := yaml.Unmarshal(read(t, "prometheus/rule_test.yaml"), &file); err != nil {
		t.Fatal(err)
	}

	file["tests"] = slices.DeleteFunc(file["tests"].([]any), func(test any) bool {
		return !slices.ContainsFunc(test.(map[string]any)["alert_rule_test"].([]any), func(at any) bool {
			return slices.Contains(alerts, at.(map[string]any)["alertname"].(string))
		})
	})

	if len(file["tests"].([]any)) == 0 {
		t.Errorf("there is no unit test of %q", alerts)
	}

	tests, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}

	return tests
}

// promtool runs unit tests on rules.
func promtool(t *testing.T, all ruleGroups, tests []byte) (string, error) {
	t.Helper()

	file := filepath.Join(filepath.Dir(writeRules(t, all)), "rule_test.yaml")
	if err := os.WriteFile(file, tests, 0o600); err != nil {
		t.Fatal(err)
	}

	return backends.Promtool(t, nil, "test", "rules", file)
}
