package backends

import (
	"context"
	"fmt"
	"testing"

	"github.com/telltale-dev/telltale/test/child"
)

// Exporter is a real OpenTelemetry Collector that sends the events of a namespace to a
// store of its own, as people have it beside any program that writes events.
type Exporter struct {
	*child.Process

	Store *Store

	Receiver                string // its name
	config, kubeconfig, dir string
}

// exporterFields has the names under which a receiver stores the reason, the count and the
// uid of an event.
func exporterFields() map[string][3]string {
	return map[string][3]string{
		"k8s_events": {"k8s.event.reason", "k8s.event.count", "k8s.event.uid"},
		"k8sobjects": {"object.reason", "object.count", "object.metadata.uid"},
	}
}

// StartExporters starts an exporter with each receiver. They end with the test.
func StartExporters(t *testing.T, kubeconfig, namespace string) (all []*Exporter) {
	t.Helper()
	for receiver, options := range map[string]string{
		"k8s_events": fmt.Sprintf("namespaces: [%s]", namespace),
		"k8sobjects": fmt.Sprintf("objects: [{name: events, mode: watch, namespaces: [%s]}]", namespace),
	} {
		e := &Exporter{Store: StartStore(t), Receiver: receiver, kubeconfig: kubeconfig, dir: t.TempDir()}
		e.config = fmt.Sprintf(`
receivers:
  %[1]s: {auth_type: kubeConfig, %[2]s}
exporters:
  otlphttp: {logs_endpoint: %[3]q}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [%[1]s], exporters: [otlphttp]}
`, receiver, options, e.Store.Endpoint())
		e.Start(t)
		t.Cleanup(func() {
			e.Kill()
			if t.Failed() {
				t.Logf("the end of the log of %s:\n%s", receiver, e.Tail())
			}
		})
		all = append(all, e)
	}

	return all
}

// Start starts it, or starts it again after Kill.
func (e *Exporter) Start(t *testing.T) {
	t.Helper()
	t.Setenv("KUBECONFIG", e.kubeconfig)
	var err error
	if e.Process, err = launchCollector(t.Context(), e.dir, e.config, exportersFolder, "otelcol-events"); err != nil {
		t.Fatal(err)
	}
}

// Shown is what an exporter's store has of events.
type Shown struct {
	Records int64 // one for each write of an event that the exporter has seen
	Added   int64 // the sum of their counts
	Latest  int64 // the sum of each event's highest count
}

// Shown returns what its store has of the events whose reason begins so.
func (e *Exporter) Shown(ctx context.Context, reason string) (s Shown, err error) {
	f := exporterFields()[e.Receiver]
	events := fmt.Sprintf("%q:%s* | ", f[0], reason)
	if s.Records, err = e.Store.Number(ctx, events+"stats count() as n"); err != nil || s.Records == 0 {
		return s, err
	}
	if s.Added, err = e.Store.Number(ctx, fmt.Sprintf("%sstats sum(%q) as n", events, f[1])); err != nil {
		return s, err
	}
	s.Latest, err = e.Store.Number(ctx, fmt.Sprintf("%sstats by (%q) max(%q) as most | stats sum(most) as n", events, f[2], f[1]))

	return s, err
}
