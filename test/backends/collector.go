package backends

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/telltale-dev/telltale/test/child"
)

// LaunchCollector starts an OpenTelemetry Collector. Its configuration and its log are in a
// folder. It takes a moment until it listens.
func LaunchCollector(ctx context.Context, dir, config string) (*child.Process, error) {
	return launchCollector(ctx, dir, config, backendsFolder, "otelcol")
}

func launchCollector(ctx context.Context, dir, config, folder, name string) (*child.Process, error) {
	file, err := write(dir, name+".yaml", config)
	if err != nil {
		return nil, err
	}
	collector, err := program(folder, name)
	if err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, collector, "validate", "--config=file:"+file).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("the Collector's configuration: %w: %s", err, out)
	}

	return child.Start(exec.Command(collector, "--config=file:"+file), filepath.Join(dir, name+".log"))
}

// StartCollector starts an OpenTelemetry Collector that ends with the test.
func StartCollector(t *testing.T, config string) {
	t.Helper()
	p, err := LaunchCollector(t.Context(), t.TempDir(), config)
	if err != nil {
		t.Fatal(err)
	}
	endWith(t, p, "the Collector")
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
