//go:build apiserver && observe

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/test/backends"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// TestObserveDashboard runs the query of each panel of config/grafana: by a real
// Prometheus that scrapes a Telltale with failures, and by a real VictoriaLogs. Each
// has an answer.
func TestObserveDashboard(t *testing.T) {
	t.Parallel()

	o := startObserved(t)
	o.apply(t, envInjection("proxy", "web", "HTTP_PROXY", "ours")+deployment("web", 0))
	o.inForce(t)

	p := backends.StartPrometheus(t, o.scrape())
	o.scale(t, "web", 3)
	o.has(t, 3)

	graphs, logs := 0, 0

	for _, panel := range panels(t) {
		for _, target := range panel.Targets {
			expr := variables().Replace(target.Expr)

			switch panel.Datasource.Type {
			case "prometheus":
				graphs++

				harness.Eventually(t, panel.Title, func(ctx context.Context) error {
					series, err := p.Query(ctx, expr)
					if err == nil && len(series) == 0 {
						err = fmt.Errorf("no series: %s", expr)
					}

					return err
				})
			case "victoriametrics-logs-datasource":
				logs++

				if rows, err := o.store.Query(t.Context(), expr); err != nil || len(rows) == 0 {
					t.Errorf("%s: %d rows: %v", expr, len(rows), err)
				}
			}
		}
	}

	if graphs < 20 || logs != 1 {
		t.Errorf("%d queries of metrics and %d of logs", graphs, logs)
	}
}

// variables has a value for each variable in a query.
func variables() *strings.Replacer {
	return strings.NewReplacer("$cluster", ".*", "$namespace", "shop|.*", "$reason", "Injection.*", "$__rate_interval", "1m")
}

// panel is a panel of the dashboard.
type panel struct {
	Title      string
	Datasource struct{ Type string }
	Targets    []struct{ Expr string }
}

func panels(t *testing.T) []panel {
	t.Helper()

	data, err := os.ReadFile("../../config/grafana/telltale.json")
	if err != nil {
		t.Fatal(err)
	}

	var board struct{ Panels []panel }
	if err := json.Unmarshal(data, &board); err != nil {
		t.Fatal(err)
	}

	return board.Panels
}

// TestObserveMetrics has a real Prometheus scrape a Telltale with failures, with the
// rules of config/. Histograms are there in both kinds, no rule has an error, and the
// alert on the failures has the namespace of the pods.
func TestObserveMetrics(t *testing.T) {
	t.Parallel()

	o := startObserved(t)
	o.apply(t, envInjection("proxy", "web", "HTTP_PROXY", "ours")+deployment("web", 0))
	o.inForce(t)

	p := backends.StartPrometheus(t, o.scrape())
	o.scale(t, "web", 3)

	page, err := telltale.Get(t.Context(), "http://"+o.r.Metrics+"/metrics")
	if err != nil {
		t.Fatal(err)
	}

	if out, err := backends.Promtool(t, page, "check", "metrics"); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}

	for expr, want := range map[string]string{
		`sum by (namespace) (telltale_injection_failures_total{namespace="shop",reason="InjectionConflict"})`: "3",
		`sum(telltale_report_reported_total{sink="event"})`:                                                   "3",
		`sum(telltale_report_reported_total{sink="otlp"})`:                                                    "3",
		`histogram_count(telltale_admission_duration_seconds) >= bool 3`:                                      "1",
		`telltale_admission_duration_seconds_bucket{le="0.5"} >= bool 3`:                                      "1",
		`histogram_count(telltale_report_delay_seconds{sink="event"}) >= bool 1`:                              "1",
		`telltale_report_delay_seconds_bucket{sink="otlp",le=~"60|60.0"} >= bool 1`:                           "1",
		`cluster:telltale_injections_failed:increase5m{cluster="TestObserveMetrics"}`:                         "3",
	} {
		harness.Eventually(t, expr, func(ctx context.Context) error {
			series, err := p.Query(ctx, expr)
			if err != nil || len(series) != 1 || series[0].Value[1] != want {
				return errors.Join(fmt.Errorf("want %s: %v", want, series), err)
			}

			return nil
		})
	}

	harness.Eventually(t, "all rules", p.Health)
	harness.Eventually(t, "the alert", func(ctx context.Context) error {
		alerts, err := p.Alerts(ctx)
		for _, a := range alerts {
			if a.Labels["alertname"] == "TelltaleInjectionsFail" && a.Labels["namespace"] == "shop" && a.Labels["cluster"] == o.name && a.State == "firing" {
				return nil
			}
		}

		return errors.Join(fmt.Errorf("not among %v", alerts), err)
	})
}
