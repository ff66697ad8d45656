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
		"Help":     {"Help teaches, and is no error.", []string{"--help"}, 0, "", "kubectl apply -k config/overlays/local"},
		"Version":  {"What is running?", []string{"--version"}, 0, "telltale dev", ""},
		"Unknown":  {"A flag that does not exist.", []string{"--what"}, 2, "", "flag provided but not defined: -what"},
		"Argument": {"Something that is no flag.", []string{"serve"}, 2, "", `unexpected argument "serve"`},
		"Port":     {"A port that can't be.", []string{"--webhook-port=70000"}, 2, "", "--webhook-port must be from 1 to 65535, not 70000"},
		"QPS":      {"No budget at all.", []string{"--event-qps=0"}, 2, "", "--event-qps must be more than 0, not 0"},
		"Keys":     {"No memory at all.", []string{"--max-event-keys=0"}, 2, "", "--max-event-keys must be 1 at least"},
		"InFlight": {"No admission at all.", []string{"--max-in-flight=-1"}, 2, "", "--max-in-flight must be 1 at least"},
		"Names":    {"No name to have a certificate for.", []string{"--dns-names=,"}, 2, "", "--dns-names must have a name"},
		"CertDir": {
			"A folder without a certificate.",
			[]string{"--kubeconfig=testdata/kubeconfig", "--cert-dir=testdata"},
			1, "",
			`cannot read a certificate from --cert-dir`,
		},
		"Kubeconfig": {
			"No API server to talk to.", []string{"--kubeconfig=testdata/missing"}, 1, "", "set --kubeconfig or KUBECONFIG",
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
		"Default": {"The Service's, in our namespace.", nil, []string{"telltale-webhook.mesh.svc"}},
		"Service": {"Of another name.", []string{"--service-name=w", "--namespace=n"}, []string{"w.n.svc"}},
		"Given":   {"Several, and no guess.", []string{"--dns-names=localhost, a.example"}, []string{"localhost", "a.example"}},
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
