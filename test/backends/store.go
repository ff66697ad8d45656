// Package backends lets tests use a real VictoriaLogs and a real OpenTelemetry
// Collector, as hack/backends builds them. They end with the test. It is for files
// with a build tag. The product never imports it.
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
	"strconv"
	"testing"

	"github.com/telltale-dev/telltale/test/child"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// Store is a real VictoriaLogs.
type Store struct {
	*child.Process

	address, dir string
}

// program returns the file of a backend, which hack/backends has built.
func program(t *testing.T, name string) string {
	t.Helper()
	folder := os.Getenv("TELLTALE_BACKENDS")
	if folder == "" {
		t.Fatal(`set TELLTALE_BACKENDS="$(hack/backends/build)", as make observe does`)
	}

	return filepath.Join(folder, name)
}

// StartStore starts a VictoriaLogs that ends with the test.
func StartStore(t *testing.T) *Store {
	t.Helper()
	s := &Store{address: "127.0.0.1:" + harness.FreePort(t), dir: t.TempDir()}
	s.start(t)
	t.Cleanup(func() { s.Kill() })

	return s
}

// start starts it.
func (s *Store) start(t *testing.T) {
	t.Helper()
	var err error
	s.Process, err = child.Start(exec.Command(program(t, "victoria-logs"),
		"-storageDataPath="+filepath.Join(s.dir, "data"), "-httpListenAddr="+s.address, "-memory.allowedBytes=64MB", "-retentionPeriod=10y",
		"-inmemoryDataFlushInterval=1s"), filepath.Join(s.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.WaitUntil(t.Context(), harness.Patience, func(ctx context.Context) error {
		_, err := telltale.Get(ctx, "http://"+s.address+"/health")

		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// Endpoint is where it takes logs by OTLP.
func (s *Store) Endpoint() string { return "http://" + s.address + "/insert/opentelemetry/v1/logs" }

// Query returns the answer to a query in LogsQL: an object for each row.
func (s *Store) Query(ctx context.Context, query string) (rows []map[string]string, err error) {
	body, err := telltale.Get(ctx, "http://"+s.address+"/select/logsql/query?query="+url.QueryEscape(query))
	for line := range bytes.Lines(body) {
		var row map[string]string
		if err == nil {
			err = json.Unmarshal(line, &row)
		}
		rows = append(rows, row)
	}

	return rows, err
}

// Failures sums telltale.failures over distinct uids, of a cluster.
func (s *Store) Failures(ctx context.Context, cluster string) (int64, error) {
	rows, err := s.Query(ctx, fmt.Sprintf(`"k8s.cluster.name":=%q "log.record.uid":* "telltale.failures":* `+
		`| uniq by ("log.record.uid", "telltale.failures") | stats sum("telltale.failures") as n`, cluster))
	if err != nil || len(rows) != 1 {
		return 0, errors.Join(fmt.Errorf("%d rows", len(rows)), err)
	}
	n, err := strconv.ParseFloat(rows[0]["n"], 64)
	if err != nil { // NaN: nothing is there
		return 0, fmt.Errorf("the sum is %q", rows[0]["n"])
	}

	return int64(n), nil
}

// StartCollector starts an OpenTelemetry Collector that ends with the test.
func StartCollector(t *testing.T, config string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), program(t, "otelcol"), "validate", "--config=file:"+file).CombinedOutput(); err != nil {
		t.Fatalf("the Collector's configuration: %v: %s", err, out)
	}
	p, err := child.Start(exec.Command(program(t, "otelcol"), "--config=file:"+file), filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the end of the Collector's log:\n%s", p.Tail())
		}
	})
}

// Relay is the configuration of a Collector that takes OTLP, by HTTP and by gRPC,
// and passes it on.
func Relay(byHTTP, byGRPC string, to *Store) string {
	return fmt.Sprintf(`
receivers:
  otlp:
    protocols:
      http: {endpoint: %q}
      grpc: {endpoint: %q}
exporters:
  otlp_http: {logs_endpoint: %q}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [otlp], exporters: [otlp_http]}
`, byHTTP, byGRPC, to.Endpoint())
}
