//go:build apiserver && chart

package config_test

import (
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/test/harness"
)

// TestChartRefuses holds that no wrong value is taken without a word.
func TestChartRefuses(t *testing.T) {
	cases := map[string]struct{ reason, values, want string }{
		"Unknown":       {"A misspelling would change nothing.", "replicaCount: 3", "additional properties 'replicaCount' not allowed"},
		"UnknownInside": {"Nor would one in a group.", "audit: {enable: false}", "additional properties 'enable' not allowed"},
		"Type":          {"A text is no number.", "replicas: two", "at '/replicas'"},
		"NoReplicas":    {"Then no pod has an Injection.", "replicas: 0", "at '/replicas'"},
		"Digest":        {"It is no digest.", "image: {digest: v1}", "at '/image/digest'"},
		"Heal":          {"There is no such cure.", "heal: [lost]", "at '/heal/0'"},
		"HealBlind":     {"Telltale would not start.", "heal: [stuck]\ncanary: {enabled: false}", "heal needs the audit and the canary"},
		"Address":       {"A NetworkPolicy takes ranges.", "networkPolicy: {apiServers: [10.0.0.1]}", "at '/networkPolicy/apiServers/0'"},
		"Endpoint":      {"Telltale would not start.", "otlp: {endpoint: 'collector:4318'}", "at '/otlp/endpoint'"},
		"Scheme":        {"It names no host.", "otlp: {endpoint: 'http://'}", "at '/otlp/endpoint'"},
		"Repository":    {"The image would have two tags.", "image: {repository: 'registry.example:5000/telltale:v1'}", "at '/image/repository'"},
		"Port":          {"The metrics are there.", "webhook: {port: 8443}", "at '/webhook/port'"},
		"Resources":     {"Helm 3 and kubectl would drop it.", "resources: {limit: {memory: 1Gi}}", "additional properties 'limit' not allowed"},
		"PullSecret":    {"It has no name.", "imagePullSecrets: [{secret: registry}]", "missing property 'name'"},
		"HeadersKey":    {"The API server asks for one.", "otlp: {headersSecret: {name: token, key: ''}}", "at '/otlp/headersSecret/key'"},
		"HeadersOfNone": {"Nothing would be sent.", "otlp: {headersSecret: {name: token}}", "otlp.headersSecret needs otlp.endpoint"},
		"OurLabel":      {"It would be there twice.", "rules: {labels: {app.kubernetes.io/name: prometheus}}", "at '/rules/labels/app.kubernetes.io~1name'"},
		"OurPodLabel":   {"Telltale would wait for itself.", "podLabels: {telltale.dev/inject: enabled}", "at '/podLabels/telltale.dev~1inject'"},
		"Mount":         {"It is nowhere.", "extraVolumeMounts: [{name: ca}]", "missing property 'mountPath'"},
		"OurAnnotation": {"It would be there twice.", "podAnnotations: {kubectl.kubernetes.io/default-container: app}", "at '/podAnnotations/kubectl.kubernetes.io~1default-container'"},
		"Flag":          {"Telltale would not start.", "extraArgs: [event-qps=3]", "at '/extraArgs/0'"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			out, err := tryHelm(t.Context(), "template", "telltale", chart, "--values="+harness.File(t, tc.values))
			if err == nil || !strings.Contains(out, tc.want) {
				t.Errorf("%s\nhelm says %v, want %q in:\n%.2000s", tc.reason, err, tc.want, out)
			}
		})
	}
}

// TestChartNotes holds that the notes advise nothing that breaks other pods, or
// Telltale's.
func TestChartNotes(t *testing.T) {
	const label = "kubectl label namespace"

	cases := map[string]struct{ reason, namespace, values, want, not string }{
		"Own":         {"Helm makes it without labels.", "telltale-system", "", label + " telltale-system telltale.dev/inject=disabled pod-security.kubernetes.io/enforce=restricted\n", ""},
		"HostNetwork": {"The level restricted forbids it.", "telltale-system", "webhook: {hostNetwork: true}", "enforce=privileged\n", "enforce=restricted"},
		"KubeSystem":  {"Pods of the node agents would be refused.", "kube-system", "", "namespace kube-system", label},
		"Default":     {"Users' pods there would have no Injections.", "default", "", "namespace default", label},
		"Digest":      {"It is what runs.", "telltale-system", "image: {digest: sha256:" + strings.Repeat("a", 64) + "}", "telltale@sha256:aaa", "latest"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			out := helm(t, "install", "telltale", chart, "--dry-run=client", "--namespace="+tc.namespace, "--values="+harness.File(t, tc.values))
			_, notes, _ := strings.Cut(out, "\nNOTES:\n")

			if !strings.Contains(notes, tc.want) || tc.not != "" && strings.Contains(notes, tc.not) {
				t.Errorf("%s\nwant %q and not %q in:\n%s", tc.reason, tc.want, tc.not, notes)
			}
		})
	}
}
