package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/telltale-dev/telltale/test/backends"
	"github.com/telltale-dev/telltale/test/child"
	"github.com/telltale-dev/telltale/test/controlplane"
)

// clusterName is in log records and in metrics.
const clusterName = "dev"

// alerting is the configuration of an Alertmanager that shows alerts on its page, and
// tells no one.
const alerting = `
route: {receiver: page, group_by: [alertname, cluster, namespace]}
receivers: [{name: page}]
`

// beside is the backends beside Telltale.
type beside struct {
	store        *backends.Store
	collector    *child.Process
	otlp         string // address of the Collector
	alertmanager *backends.Alertmanager
	prometheus   *backends.Prometheus
}

// observe starts all backends. Telltale must not run yet: it hears here where to send its
// records.
func (s *stack) observe(ctx context.Context) (err error) {
	s.say("starting VictoriaLogs, an OpenTelemetry Collector, Alertmanager and Prometheus")
	b, dir := &s.beside, filepath.Join(s.logs, "backends")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("cannot make a folder for backends: %w", err)
	}

	if b.store, err = backends.LaunchStore(ctx, dir); err != nil {
		return err
	}
	if err := s.collect(ctx, dir); err != nil {
		return err
	}
	if b.alertmanager, err = backends.LaunchAlertmanager(ctx, dir, alerting); err != nil {
		return err
	}
	b.prometheus, err = backends.LaunchPrometheus(ctx, dir, backends.Scrape{
		Clusters: map[string][]string{clusterName: {s.telltale.Metrics}},
		Rules:    filepath.Join("config", "prometheus", "rule.yaml"), Alertmanager: b.alertmanager.Address,
	})

	return err
}

// collect starts the Collector, which sends all to VictoriaLogs, and names it to Telltale.
func (s *stack) collect(ctx context.Context, dir string) (err error) {
	byHTTP, first := controlplane.FreeAddress()
	byGRPC, second := controlplane.FreeAddress()
	if err := errors.Join(first, second); err != nil {
		return err
	}
	s.beside.otlp = "http://" + byHTTP
	s.telltale.Env = append(s.telltale.Env, "OTEL_EXPORTER_OTLP_ENDPOINT="+s.beside.otlp)
	s.beside.collector, err = backends.LaunchCollector(ctx, dir, backends.Relay(byHTTP, byGRPC, s.beside.store))

	return err
}

// kill ends all that runs.
func (b *beside) kill() {
	if b.prometheus != nil {
		b.prometheus.Kill()
	}
	if b.alertmanager != nil {
		b.alertmanager.Kill()
	}
	b.collector.Kill()
	if b.store != nil {
		b.store.Kill()
	}
}

// String says where they are.
func (b beside) String() string {
	return fmt.Sprintf(`
Beside it, with the rules of config/prometheus:

  Prometheus     http://%[1]s/api/v1/alerts (its pages are not built)
  Alertmanager   http://%[2]s
  Collector      %[3]s, OTLP by HTTP
  VictoriaLogs   http://%[4]s/select/vmui

  curl -s http://%[1]s/api/v1/query -d 'query=telltale_injection_failures_total'
  curl -s http://%[4]s/select/logsql/query -d 'query="telltale.failures":*'
`, b.prometheus.Address, b.alertmanager.Address, b.otlp, b.store.Address)
}
