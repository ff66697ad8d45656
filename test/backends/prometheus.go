package backends

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/telltale-dev/telltale/test/child"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// Prometheus is a real Prometheus.
type Prometheus struct{ address string }

// Series is a series of an answer: its labels and its last value, or the labels of an
// alert.
type Series struct {
	Metric map[string]string `json:"metric"`
	Labels map[string]string `json:"labels"`
	State  string            `json:"state"`
	Value  []any             `json:"value"`
}

// Promtool runs promtool, with an input.
func Promtool(t *testing.T, input []byte, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), prometheusProgram(t, "promtool"), args...)
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.CombinedOutput()

	return string(out), err
}

// prometheusProgram returns the file of a program that hack/prometheus has built.
func prometheusProgram(t *testing.T, name string) string {
	t.Helper()
	folder := os.Getenv("TELLTALE_PROMETHEUS")
	if folder == "" {
		t.Fatal(`set TELLTALE_PROMETHEUS="$(hack/prometheus/build)", as make observe does`)
	}

	return filepath.Join(folder, name)
}

// StartPrometheus starts a Prometheus that scrapes an address each second, as the
// ServiceMonitor of config/ has it, and evaluates the rules of a PrometheusRule. It ends
// with the test.
func StartPrometheus(t *testing.T, target, rule string) *Prometheus {
	t.Helper()
	dir, p := t.TempDir(), &Prometheus{address: "127.0.0.1:" + harness.FreePort(t)}
	write(t, filepath.Join(dir, "rules.yaml"), spec(t, rule))
	config := filepath.Join(dir, "prometheus.yaml")
	write(t, config, fmt.Appendf(nil, `
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yaml]
scrape_configs:
- job_name: telltale-metrics
  honor_labels: true
  scrape_native_histograms: true
  always_scrape_classic_histograms: true
  static_configs: [{targets: [%q], labels: {namespace: telltale-system, cluster: one}}]
`, target))
	process, err := child.Start(exec.Command(prometheusProgram(t, "prometheus"), "--config.file="+config,
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+p.address, "--scrape.discovery-reload-interval=100ms",
	), filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		process.Kill()
		if t.Failed() {
			t.Logf("the end of Prometheus' log:\n%s", process.Tail())
		}
	})
	if err := process.WaitUntil(t.Context(), harness.Patience, func(ctx context.Context) error {
		_, err := telltale.Get(ctx, "http://"+p.address+"/-/ready")

		return err
	}); err != nil {
		t.Fatal(err)
	}

	return p
}

// Query returns the series of an expression.
func (p *Prometheus) Query(ctx context.Context, expr string) ([]Series, error) {
	var answer struct{ Data struct{ Result []Series } }
	err := p.get(ctx, "query?query="+url.QueryEscape(expr), &answer)

	return answer.Data.Result, err
}

// Alerts returns the alerts that fire or wait to.
func (p *Prometheus) Alerts(ctx context.Context) ([]Series, error) {
	var answer struct{ Data struct{ Alerts []Series } }
	err := p.get(ctx, "alerts", &answer)

	return answer.Data.Alerts, err
}

// Health is an error if a rule could not be evaluated, or was not yet.
func (p *Prometheus) Health(ctx context.Context) error {
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	if err := p.get(ctx, "rules", &answer); err != nil {
		return err
	}
	rules := 0
	for _, g := range answer.Data.Groups {
		for _, r := range g.Rules {
			rules++
			if r.Health != "ok" {
				return fmt.Errorf("rule %s is %s: %s", r.Name, r.Health, r.LastError)
			}
		}
	}
	if rules == 0 {
		return errors.New("there are no rules")
	}

	return nil
}

func (p *Prometheus) get(ctx context.Context, path string, answer any) error {
	body, err := telltale.Get(ctx, "http://"+p.address+"/api/v1/"+path)
	if err != nil {
		return err
	}

	return json.Unmarshal(body, answer)
}

// spec returns the spec of an object in a YAML file: of a PrometheusRule, the rules as
// Prometheus reads them.
func spec(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var object struct {
		Spec map[string]any `json:"spec"`
	}
	if err := yaml.Unmarshal(data, &object); err != nil {
		t.Fatal(err)
	}
	out, err := yaml.Marshal(object.Spec)
	if err != nil {
		t.Fatal(err)
	}

	return out
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
