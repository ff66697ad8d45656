package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCommandLine(t *testing.T) {
	cases := map[string]struct {
		reason         string
		args           []string
		code           int
		stdout, stderr string
	}{
		"Help":     {"A user that asks for help made no error.", []string{"--help"}, 0, "", "kubectl apply -k config/overlays/local"},
		"Version":  {"A user asks which version is running.", []string{"--version"}, 0, "telltale dev", ""},
		"Unknown":  {"There is no such flag.", []string{"--what"}, 2, "", "flag provided but not defined: -what"},
		"Argument": {"The argument is no flag.", []string{"serve"}, 2, "", `unexpected argument "serve"`},
		"Port":     {"There is no such port.", []string{"--webhook-port=70000"}, 2, "", "--webhook-port must be from 1 to 65535, not 70000"},
		"QPS":      {"Without calls no event can be written.", []string{"--event-qps=0"}, 2, "", "--event-qps must be more than 0, not 0"},
		"Keys":     {"Without keys no failure can be counted.", []string{"--max-event-keys=0"}, 2, "", "--max-event-keys must be 1 at least"},
		"InFlight": {"Without admissions no pod is injected.", []string{"--max-in-flight=-1"}, 2, "", "--max-in-flight must be 1 at least"},
		"Timeout":  {"No registration can have it.", []string{"--webhook-timeout=31s"}, 2, "", "--webhook-timeout must be from 1s to 30s, as timeoutSeconds, not 31s"},
		"Canary":   {"That would be a load, and no check.", []string{"--canary-interval=1ms"}, 2, "", "--canary-interval must be 0, or 1s at least, not 1ms"},
		"Heal":     {"There is no such cure.", []string{"--heal=missed,lost"}, 2, "", `--heal may have "missed" and "stuck", not ["missed" "lost"]`},
		"HealBlind": {
			"Without the canary it would evict while nothing is injected.",
			[]string{"--heal=missed", "--canary-interval=0"},
			2, "",
			"--heal needs the audit and the canary",
		},
		"Names": {"A certificate needs a name.", []string{"--dns-names=,"}, 2, "", "--dns-names must have a name"},
		"CertDir": {
			"The folder has no certificate.",
			[]string{"--kubeconfig=testdata/kubeconfig", "--cert-dir=testdata"},
			1, "",
			`cannot read a certificate from --cert-dir`,
		},
		"Kubeconfig": {
			"No flag or variable says which API server to call.", []string{"--kubeconfig=testdata/missing"}, 1, "", "set --kubeconfig or KUBECONFIG",
		},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer

			code := execute(t.Context(), c.args, &stdout, &stderr)
			if code != c.code || !strings.Contains(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) {
				t.Errorf("%s got %d, %q, %q", c.reason, code, stdout.String(), stderr.String())
			}
		})
	}
}

func TestNames(t *testing.T) {
	t.Setenv("POD_NAMESPACE", "mesh")

	cases := map[string]struct {
		reason string
		args   []string
		want   []string
	}{
		"Default": {"The default is the name of the Service in our namespace.", nil, []string{"telltale-webhook.mesh.svc"}},
		"Service": {"The Service has another name.", []string{"--service-name=w", "--namespace=n"}, []string{"w.n.svc"}},
		"Given":   {"Given names replace the default.", []string{"--dns-names=localhost, a.example"}, []string{"localhost", "a.example"}},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o, err := parse(c.args, &bytes.Buffer{})
			if err != nil {
				t.Fatal(err)
			}

			if diff := cmp.Diff(c.want, o.dnsNames); diff != "" {
				t.Errorf("%s -want +got\n%s", c.reason, diff)
			}
		})
	}
}

// TestWrongEnvironment: a variable of OpenTelemetry with a wrong value ends the
// start, and the error names it.
func TestWrongEnvironment(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")

	var stdout, stderr bytes.Buffer
	if code := execute(t.Context(), []string{"--kubeconfig=testdata/kubeconfig"}, &stdout, &stderr); code != 1 {
		t.Errorf("code %d", code)
	}

	if want := "OTEL_EXPORTER_OTLP_ENDPOINT must be a URL"; !strings.Contains(stderr.String(), want) {
		t.Errorf("want %q in:\n%s", want, stderr.String())
	}
}
