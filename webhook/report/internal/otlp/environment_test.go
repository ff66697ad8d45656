package otlp

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// clean takes all variables of OpenTelemetry out of a test's environment.
func clean(t *testing.T) {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
}

// TestWanted: without an endpoint nothing is exported, nor if the environment
// switches OpenTelemetry off.
func TestWanted(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318"
	for name, tc := range map[string]struct {
		reason string
		env    []string
		want   bool
	}{
		"Nothing":      {"It is off by default.", nil, false},
		"NoEndpoint":   {"Other variables switch nothing on.", []string{"OTEL_SERVICE_NAME=x", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, false},
		"Endpoint":     {"One is for all signals.", []string{endpoint}, true},
		"LogsEndpoint": {"One is for logs.", []string{"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=http://collector:4318/v1/logs"}, true},
		"Disabled":     {"The SDK is off.", []string{endpoint, "OTEL_SDK_DISABLED=true"}, false},
		"NoLogs":       {"Logs are off.", []string{endpoint, "OTEL_LOGS_EXPORTER=none"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			for _, v := range tc.env {
				name, value, _ := strings.Cut(v, "=")
				t.Setenv(name, value)
			}
			if got := Wanted(); got != tc.want {
				t.Errorf("%s got %v", tc.reason, got)
			}
		})
	}
}

// TestEnvironmentWrong: a bad value is an error at the start. It names the variable,
// and never the value, which may be a secret.
func TestEnvironmentWrong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s3cr3t.pem")
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=s3cr3t:4318",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://s3cr3t:4318:1",
		"OTEL_EXPORTER_OTLP_ENDPOINT=https://user:s3cr3t@collector",
		"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=https://collector?key=s3cr3t",
		"OTEL_EXPORTER_OTLP_PROTOCOL=s3cr3t",
		"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL=http/json",
		"OTEL_EXPORTER_OTLP_TIMEOUT=10s",
		"OTEL_EXPORTER_OTLP_TIMEOUT=0",
		"OTEL_EXPORTER_OTLP_COMPRESSION=s3cr3t",
		"OTEL_EXPORTER_OTLP_INSECURE=s3cr3t",
		"OTEL_EXPORTER_OTLP_HEADERS=Bearer s3cr3t",
		"OTEL_EXPORTER_OTLP_LOGS_HEADERS=a=s3cr3t%zz",
		"OTEL_EXPORTER_OTLP_HEADERS=a=s3cr3t%0d%0a",
		"OTEL_EXPORTER_OTLP_CERTIFICATE=" + file,
		"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=" + file,
		"OTEL_RESOURCE_ATTRIBUTES=s3cr3t",
	} {
		name, value, _ := strings.Cut(v, "=")
		t.Run(v, func(t *testing.T) {
			clean(t)
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
			t.Setenv(name, value)
			_, err := NewWriter(testOptions())
			if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("the error is: %v", err)
			}
		})
	}
}
