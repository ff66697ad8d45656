//go:build apiserver

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	apiversion "k8s.io/apimachinery/pkg/version"

	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// adding is a manifest: an Injection of what comes in YAML, for the pods of the
// app of its name.
func adding(name, more string) string {
	return fmt.Sprintf(`---
apiVersion: telltale.dev/v1alpha1
kind: Injection
metadata: {name: %[1]s, namespace: shop}
spec:
  selector: {matchLabels: {app: %[1]s}}
  env: [{name: TOKEN, value: s3cr3t}]
  %[2]s
`, name, more)
}

// condition is the path of a field of an Injection's condition.
func condition(kind, field string) string {
	return fmt.Sprintf(`jsonpath={.status.conditions[?(@.type==%q)].%s}`, kind, field)
}

// serverCase is an Injection with a field that an API server may not take.
type serverCase struct {
	name, more string
	// refusal is what the Injection says where the field is not taken: the
	// API server drops it, or refuses what is left.
	refusal string
	// gate is the feature gate that decides; "" if every API server takes it.
	gate string
}

func serverCases() []serverCase {
	const (
		dropped = ": this API server drops it"
		sidecar = "initContainers: [{name: sidecar, image: z, restartPolicy: Always, "
		source  = "volumes: [{name: all, projected: {sources: [{%s}]}}]"
	)

	return []serverCase{
		{
			"signal", "initContainers: [{name: first, image: z}, {name: sidecar, image: z, restartPolicy: Always, lifecycle: {stopSignal: SIGUSR1}}]",
			"spec.initContainers[1].lifecycle.stopSignal" + dropped, "ContainerStopSignals",
		},
		{"probe", sidecar + "startupProbe: {httpGet: {port: 80, protocol: HTTP1}}}]", "spec.initContainers[0].startupProbe.httpGet.protocol" + dropped, "H2CContainerProbe"},
		{"mode", "volumes: [{name: tmp, emptyDir: {mode: 448}}]", "spec.volumes[0].emptyDir.mode" + dropped, "EmptyDirVolumeMode"},
		{
			"bundle", fmt.Sprintf(source, "clusterTrustBundle: {name: b, path: ca.pem}"),
			"spec.volumes[0].projected.sources[0].clusterTrustBundle" + dropped, "ClusterTrustBundleProjection",
		},
		{
			"certificate", fmt.Sprintf(source, "podCertificate: {signerName: example.com/s, keyType: ED25519, credentialBundlePath: pem}"),
			"spec.volumes[0].projected.sources[0].podCertificate" + dropped, "PodCertificateRequest",
		},
		{"image", "volumes: [{name: files, image: {reference: z}}]", "spec.volumes" + dropped, "ImageVolume"},
		{
			"file", "initContainers: [{name: first, image: z, env: [{name: A, valueFrom: {fileKeyRef: {volumeName: tmp, path: env, key: A}}}]}]\n  volumes: [{name: tmp, emptyDir: {}}]",
			"spec.initContainers[0].env[0].valueFrom: must specify one of", "EnvFiles",
		},
		{"good", sidecar + "lifecycle: {preStop: {sleep: {seconds: 5}}}}]\n  volumes: [{name: tmp, emptyDir: {}}]\n  volumeMounts: [{name: tmp, mountPath: /x}]", "", ""},
	}
}

// documented is what the table in docs/install.md says that this API server does
// with the field: a feature gate that is off makes it as the oldest.
func (s serverCase) documented(t *testing.T, minor int) string {
	t.Helper()

	if s.gate == "" {
		return "taken"
	}

	const oldest, before = 34, 3

	if strings.Contains(os.Getenv("KUBERNETES_FLAGS"), s.gate+"=false") {
		minor = oldest
	}

	docs, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}

	for line := range strings.Lines(string(docs)) {
		if cells := strings.Split(line, "|"); strings.Contains(line, "| `"+s.gate+"` |") && minor-oldest+before < len(cells)-1 {
			return strings.TrimSpace(cells[minor-oldest+before])
		}
	}

	t.Fatalf("docs/install.md does not say what Kubernetes 1.%d does by %s", minor, s.gate)

	return ""
}

// version is the API server's, as Injections have it, and the minor version that
// it acts as.
func (c *cluster) version(t *testing.T) (said string, minor int) {
	t.Helper()

	var info apiversion.Info
	if err := json.Unmarshal([]byte(c.kubectl(t, "get", "--raw=/version")), &info); err != nil {
		t.Fatal(err)
	}

	minor, err := strconv.Atoi(info.EmulationMinor)
	if err != nil {
		t.Fatal(err)
	}

	if said = info.GitVersion; info.EmulationMinor != info.Minor {
		said += " as 1." + info.EmulationMinor
	}

	return said, minor
}

// TestServerDrops declares what this API server drops, without a word, or refuses
// as it dropped a part of it: it is said on the Injection and on the owner, by each
// replica, and pods start without it.
func TestServerDrops(t *testing.T) {
	t.Parallel()

	c := startCluster(t)
	one, two := harness.FreePort(t), harness.FreePort(t)
	c.install(t, balance(t, one, two))

	replicas := []*telltale.Replica{c.launch(t, one), c.launch(t, two)}
	for _, r := range replicas {
		harness.WaitReady(t, r)
	}

	c.output(t, "LS0t", "get", "mutatingwebhookconfiguration", "telltale", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")

	said, minor := c.version(t)
	for _, tc := range serverCases() {
		c.apply(t, adding(tc.name, tc.more))
	}

	for _, tc := range serverCases() {
		c.output(t, `"serverVersion":"`+said+`"`, "get", "injection", tc.name, "-n", "shop", "-o", "jsonpath={.status.serverCheck}")

		recorded := tc.name + "@" + c.kubectl(t, "get", "injection", tc.name, "-n", "shop", "-o", "jsonpath={.status.revision}")
		documented := tc.documented(t, minor)
		t.Logf("%s, %s: %s", said, tc.name, documented)

		if documented == "taken" {
			c.output(t, "True", "get", "injection", tc.name, "-n", "shop", "-o", condition("Ready", "status"))
			c.apply(t, deployment(tc.name, 2))
			c.output(t, recorded+"=\n"+recorded+"=\n", recordsOf(tc.name)...)

			continue
		}

		c.output(t, "False", "get", "injection", tc.name, "-n", "shop", "-o", condition("Ready", "status"))
		c.output(t, "True", "get", "injection", tc.name, "-n", "shop", "-o", condition("Stalled", "status"))
		c.output(t, tc.refusal, "get", "injection", tc.name, "-n", "shop", "-o", condition("Ready", "message"))

		if dropped := strings.Contains(tc.refusal, "drops it"); dropped != (documented == "dropped") {
			t.Errorf("%s: %s, and docs/install.md says that it is %s", tc.name, tc.refusal, documented)
		}

		c.apply(t, deployment(tc.name, 6))
		c.output(t, strings.Repeat("="+recorded+"=InjectionInvalid\n", 6), recordsOf(tc.name)...)
		c.output(t, "(x6 over ", "describe", "deployment", tc.name, "-n", "shop")
		c.output(t, fmt.Sprintf(`Injection %q not applied: %s`, tc.name, tc.refusal), "describe", "deployment", tc.name, "-n", "shop")
	}

	for i, r := range replicas {
		if n, err := r.Metric(t.Context(), "telltale_injection_failures_total", "InjectionInvalid"); err != nil || n == 0 {
			t.Errorf("replica %d counted %v (%v)", i, n, err)
		}
	}

	// Corrected, it is in force.
	c.apply(t, adding("signal", "initContainers: [{name: sidecar, image: z}]"))
	c.kubectl(t, "wait", "--for=condition=Ready", "-n", "shop", "injection/signal")
}

// recordsOf asks kubectl for the records of an app's pods: injected=failed.
func recordsOf(app string) []string {
	return []string{
		"get", "pods", "-n", "shop", "-l", "app=" + app, "-o",
		`jsonpath={range .items[*]}{.metadata.annotations.telltale\.dev/injected}={.metadata.annotations.telltale\.dev/failed}{"\n"}{end}`,
	}
}

// policy refuses PodTemplates with a text that has an env var's value in it.
const policy = `---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-templates}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [podtemplates]}]
  validations: [{expression: "false", messageExpression: "'no: ' + object.template.spec.containers[0].env[0].value"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-templates}
spec: {policyName: no-templates, validationActions: [Deny]}
`

// quota lets no PodTemplate be made.
const quota = `---
apiVersion: v1
kind: ResourceQuota
metadata: {name: no-templates, namespace: telltale-system}
spec: {hard: {count/podtemplates: 0}}
`

// TestServerNotAsked keeps the API server from judging, in three ways: our own
// checks hold until it can be asked, which is tried again, and no answer that is
// quoted tells a value.
func TestServerNotAsked(t *testing.T) {
	role, err := os.ReadFile("../../config/rbac/role.yaml")
	if err != nil {
		t.Fatal(err)
	}

	cases := map[string]struct{ reason, forbid string }{
		"Right":  {"A 403: we may not ask.", strings.Replace(string(role), "resources: [podtemplates]", "resources: [nothing]", 1)},
		"Policy": {"A 422 of a policy.", policy},
		"Quota":  {"A 403 of a quota.", quota},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			c := startCluster(t)
			port := harness.FreePort(t)
			c.install(t, port)
			c.apply(t, tc.forbid)
			harness.Eventually(t, "PodTemplates to be refused", func(ctx context.Context) error {
				_, err := c.Kubectl(ctx, "create", "--dry-run=server", "--as=system:serviceaccount:telltale-system:telltale", "-f", c.write(t, sampleTemplate))
				if err == nil {
					err = errors.New("it is taken")
				} else {
					err = nil
				}

				return err
			})

			p := c.launch(t, port)
			harness.WaitReady(t, p)
			c.apply(t, adding("proxy", "initContainers: [{name: sidecar, image: z, restartPolicy: Always, lifecycle: {stopSignal: SIGUSR1}}]"))
			c.kubectl(t, "wait", "--for=condition=Ready", "-n", "shop", "injection/proxy")

			if check := c.kubectl(t, "get", "injection", "proxy", "-n", "shop", "-o", "jsonpath={.status.serverCheck}"); check != "" {
				t.Errorf("%s it says %s", tc.reason, check)
			}

			harness.Eventually(t, "the log", func(context.Context) error {
				if !strings.Contains(p.Tail(), "the API server was not asked about an Injection") {
					return errors.New("it does not say that the API server was not asked")
				}

				return nil
			})

			if strings.Contains(p.Tail(), "s3cr3t") {
				t.Error("the log tells a value")
			}

			// It can be asked again.
			if name == "Right" {
				c.apply(t, string(role))
			} else {
				c.kubectl(t, "delete", "-f", c.write(t, tc.forbid))
			}

			c.output(t, "False", "get", "injection", "proxy", "-n", "shop", "-o", condition("Ready", "status"))
			c.output(t, "stopSignal: this API server drops it", "get", "injection", "proxy", "-n", "shop", "-o", condition("Stalled", "message"))
		})
	}
}

// sampleTemplate is a PodTemplate.
const sampleTemplate = `
apiVersion: v1
kind: PodTemplate
metadata: {name: sample, namespace: telltale-system}
template:
  spec: {containers: [{name: app, image: i, env: [{name: A, value: a}]}]}
`
