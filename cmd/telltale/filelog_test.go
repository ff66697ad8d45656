//go:build apiserver && observe

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/test/backends"
	"github.com/telltale-dev/telltale/test/harness"
)

// TestObserveLog has a real Collector read Telltale's log, with the configuration of
// docs/observe.md. The store then has, besides the record of a failure, the line about
// it, with the same fields.
func TestObserveLog(t *testing.T) {
	t.Parallel()

	o := startObserved(t)
	o.apply(t, envInjection("proxy", "web", "HTTP_PROXY", "ours")+deployment("web", 0))
	o.inForce(t)
	o.scale(t, "web", 1)
	o.has(t, 1)
	o.tells(t, "InjectionConflict", map[string]int{"Deployment/web": 1})
	o.r.Stop(harness.Patience)

	file := containerLog(t, o.r.Log)
	backends.StartCollector(t, fileLog(t, file, o.store))

	record, line := o.row(t, `"log.record.uid":*`), o.row(t, `!"log.record.uid":*`)
	for field, value := range record {
		ours := strings.HasPrefix(field, "telltale.") || strings.HasPrefix(field, "k8s.") && !strings.HasPrefix(field, "k8s.cluster.")
		if (ours || field == "_msg") && line[field] != value {
			t.Errorf("%s: the record has %q, the line %q", field, value, line[field])
		}
	}

	if line["severity_text"] == "" || line["_msg"] == "" || len(record) < 15 {
		t.Errorf("the record: %v\nthe line: %v", record, line)
	}
}

// row waits for the one row about the failure that matches a filter.
func (o *observed) row(t *testing.T, filter string) (row map[string]string) {
	t.Helper()
	harness.Eventually(t, filter, func(ctx context.Context) error {
		rows, err := o.store.Query(ctx, filter+` "k8s.event.reason":=InjectionConflict`)
		if err != nil || len(rows) != 1 {
			return errors.Join(fmt.Errorf("%d rows", len(rows)), err)
		}

		row = rows[0]

		return nil
	})

	return row
}

// containerLog writes a log as a container runtime does, and returns the file.
func containerLog(t *testing.T, log string) string {
	t.Helper()

	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}

	var out bytes.Buffer
	for line := range bytes.Lines(data) {
		fmt.Fprintf(&out, "2026-11-26T12:00:00.000000001Z stderr F %s", line)
	}

	file := filepath.Join(t.TempDir(), "0.log")
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}

	return file
}

// fileLog is the Collector's configuration of the docs, for a file that is there
// already, and with a way to the store.
func fileLog(t *testing.T, file string, to *backends.Store) string {
	t.Helper()

	doc, err := os.ReadFile("../../docs/observe.md")
	if err != nil {
		t.Fatal(err)
	}

	found := regexp.MustCompile("(?s)```yaml\n(receivers:\n {2}file_log:.*?)```").FindSubmatch(doc)
	if found == nil {
		t.Fatal("docs/observe.md has no file_log")
	}

	receivers := regexp.MustCompile(`include: .*`).ReplaceAllString(string(found[1]), fmt.Sprintf("include: [%q]\n    start_at: beginning", file))

	return receivers + fmt.Sprintf(`
exporters:
  otlp_http: {logs_endpoint: %q}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [file_log], exporters: [otlp_http]}
`, to.Endpoint())
}
