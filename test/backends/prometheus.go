package backends

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/test/child"
	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/telltale"
)

// Prometheus is a real Prometheus.
type Prometheus struct {
	*child.Process

	Address string
}

// Scrape says what a Prometheus does each second.
type Scrape struct {
	// Clusters have the addresses of their Telltales' metrics. They are scraped as the
	// ServiceMonitor of config/ has it, with the cluster's name as a label.
	Clusters map[string][]string
	// Rules is the file of a PrometheusRule.
	Rules string
	// Hurry has the rules wait for seconds in place of minutes.
	Hurry bool
	// Alertmanager is the address of one. Default: none.
	Alertmanager string
}

// config is Prometheus' own.
func (s Scrape) config() string {
	var all strings.Builder
	all.WriteString("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yaml]\n")
	if s.Alertmanager != "" {
		fmt.Fprintf(&all, "alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}\n", s.Alertmanager)
	}
	all.WriteString(`scrape_configs:
- job_name: telltale-metrics
  honor_labels: true
  scrape_native_histograms: true
  always_scrape_classic_histograms: true
  static_configs:
`)
	for _, cluster := range slices.Sorted(maps.Keys(s.Clusters)) {
		fmt.Fprintf(&all, "  - {targets: [%s], labels: {namespace: telltale-system, cluster: %q}}\n",
			strings.Join(s.Clusters[cluster], ", "), cluster)
	}

	return all.String()
}

// LaunchPrometheus starts a Prometheus. Its data and its log are in a folder.
func LaunchPrometheus(ctx context.Context, dir string, s Scrape) (*Prometheus, error) {
	rules, err := s.rules()
	if err != nil {
		return nil, err
	}
	if _, err := write(dir, "rules.yaml", rules); err != nil {
		return nil, err
	}
	config, err := write(dir, "prometheus.yaml", s.config())
	if err != nil {
		return nil, err
	}
	at, err := controlplane.FreeAddress()
	if err != nil {
		return nil, err
	}
	process, err := serve(ctx, dir, "http://"+at+"/-/ready", prometheusFolder, "prometheus", "--config.file="+config,
		"--storage.tsdb.path="+filepath.Join(dir, "prometheus"), "--web.listen-address="+at, "--scrape.discovery-reload-interval=100ms")

	return &Prometheus{Process: process, Address: at}, err
}

// StartPrometheus starts a Prometheus that ends with the test.
func StartPrometheus(t *testing.T, s Scrape) *Prometheus {
	t.Helper()
	p, err := LaunchPrometheus(t.Context(), t.TempDir(), s)
	if err != nil {
		t.Fatal(err)
	}
	endWith(t, p.Process, "Prometheus")

	return p
}

// Promtool runs promtool, with an input.
func Promtool(t *testing.T, input []byte, args ...string) (string, error) {
	t.Helper()
	file, err := program(prometheusFolder, "promtool")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), file, args...)
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.CombinedOutput()

	return string(out), err
}

// Series is a series of an answer: its labels and its last value, or the labels of an
// alert.
type Series struct {
	Metric map[string]string `json:"metric"`
	Labels map[string]string `json:"labels"`
	State  string            `json:"state"`
	Value  []any             `json:"value"`
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
	body, err := telltale.Get(ctx, "http://"+p.Address+"/api/v1/"+path)
	if err != nil {
		return err
	}

	return json.Unmarshal(body, answer)
}
