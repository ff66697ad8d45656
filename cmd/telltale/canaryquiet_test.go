//go:build apiserver

package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/telltale-dev/telltale/test/harness"
)

// TestCanaryQuiet has other things than Telltale refuse the canary pod, or keep the
// API server from answering, and users do to Telltale what they may. None of it is an
// outage.
func TestCanaryQuiet(t *testing.T) {
	c := startCanary(t, 1)

	// Users' Injections are not applied to it. One would refuse it.
	everywhere := strings.ReplaceAll(strings.Replace(envInjection("everywhere", "x", "TELLTALE_CANARY", "no"), "kind: Injection", "kind: ClusterInjection", 1), ", namespace: shop", "")
	c.apply(t, strings.Replace(everywhere, "{matchLabels: {app: x}}", "{}", 1)+"  onFailure: Deny\n")
	c.kubectl(t, "wait", "--for=condition=Ready", "clusterinjection/everywhere")
	c.stays(t, "well")

	c.kubectl(t, "create", "configmap", "telltale-stop", "-n", "telltale-system")
	harness.Eventually(t, "all injection stops", stops(c.replicas, 1))
	c.stays(t, "well")
	c.kubectl(t, "delete", "configmap", "telltale-stop", "-n", "telltale-system")

	c.kubectl(t, "create", "quota", "none", "-n", "telltale-canary", "--hard=pods=0")
	c.finds(t, "unknown")
	c.stays(t, "unknown")
	c.kubectl(t, "delete", "quota", "none", "-n", "telltale-canary")
	c.finds(t, "well")

	c.apply(t, fmt.Sprintf(otherWebhook, refuser(t, t.TempDir())...))
	c.finds(t, "unknown")
	c.stays(t, "unknown")
	c.kubectl(t, "delete", "mutatingwebhookconfiguration", "other")
	c.finds(t, "well")

	c.StopAPIServer()
	c.finds(t, "unknown")

	if err := c.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}

	c.finds(t, "well")
	c.has(t, 0, 0)

	if n, err := c.replicas[0].Metric(t.Context(), "telltale_injection_failures_total"); err != nil || n != 0 {
		t.Errorf("there are %v failures (%v)", n, err)
	}

	if pods := c.kubectl(t, "get", "pods", "-n", "telltale-canary", "-o", "name"); pods != "" {
		t.Errorf("there are canary pods: %s", pods)
	}

	if got := c.kubectl(t, "get", "clusterinjection", "everywhere", "-o", "jsonpath={.status.pods.failed}"); got != "" && got != "0" {
		t.Errorf("the canary counts: %s pods failed", got)
	}
}

// stays checks for some canary pods that the leader has not found anything else.
func (c *canaryCase) stays(t *testing.T, result string) {
	t.Helper()

	for end := time.Now().Add(3 * canaryInterval); time.Now().Before(end); <-time.After(canaryInterval / 10) {
		if n, err := c.replicas[0].Metric(t.Context(), "telltale_canary", result); err != nil || n != 1 {
			t.Fatalf("the canary does not find %s any more: %v (%v)", result, n, err)
		}
	}
}

// otherWebhook is registered before Telltale, and with failurePolicy: Fail.
const otherWebhook = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: other}
webhooks:
- name: other.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: {url: "https://localhost:%s/", caBundle: %s}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
`

// refuser is a webhook that refuses dry runs. It returns its port and its caBundle.
func refuser(t *testing.T, dir string) []any {
	t.Helper()

	bundle := writeCertificate(t, dir)

	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}

	port := harness.FreePort(t)
	server := &http.Server{
		Addr: "localhost:" + port, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var review admissionv1.AdmissionReview

			body, err := io.ReadAll(r.Body)
			if err == nil {
				err = json.Unmarshal(body, &review)
			}

			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)

				return
			}

			review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: !*review.Request.DryRun}
			_ = json.NewEncoder(w).Encode(&review)
		}),
	}

	t.Cleanup(func() { _ = server.Close() })

	go func() { _ = server.ListenAndServeTLS("", "") }()

	return []any{port, bundle}
}

// TestCanaryMinute has the API server no longer ask, right after a canary pod, with the
// default interval: Telltale's Deployment says so within two minutes, once.
func TestCanaryMinute(t *testing.T) {
	if !*wholeCanary {
		t.Skip("no -canary")
	}

	const promised = 2 * time.Minute

	c := startCanary(t, 1, "--canary-interval=1m")
	start := time.Now()

	c.kubectl(t, "delete", "mutatingwebhookconfiguration", "telltale")

	if took := c.finds(t, "not_registered"); took > promised {
		t.Errorf("it is found after %v", took)
	}

	c.has(t, 1, 0)
	t.Logf("told after %v", time.Since(start))

	c.sync(t, "1")
	c.registered(t)

	start = time.Now()

	c.finds(t, "well")
	c.has(t, 1, 1)
	t.Logf("its end is told after %v", time.Since(start))
}

// TestCanaryChurn replaces both replicas, as a rollout does, and their CA, while pods
// and Injections come and go. There is no outage.
func TestCanaryChurn(t *testing.T) {
	c := startCanary(t, 2)
	c.apply(t, envInjection("churn", "x", "CHURN", "x"))

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})

	go func() {
		defer close(ended)

		for i := 0; ctx.Err() == nil; i++ {
			_, _ = c.Kubectl(ctx, "run", fmt.Sprintf("pod-%d", i), "-n", "shop", "--image=x")
			_, _ = c.Kubectl(ctx, "patch", "injection", "churn", "-n", "shop", "--type=merge",
				fmt.Sprintf(`--patch={"spec": {"env": [{"name": "CHURN", "value": "%d"}]}}`, i))
		}
	}()

	rounds := 1
	if *wholeCanary {
		rounds = 5
	}

	for range rounds {
		for i, r := range c.replicas {
			c.kubectl(t, "delete", "endpointslice", "-n", "telltale-system", fmt.Sprintf("telltale-%d", i))
			<-time.After(time.Second) // as the pre-stop sleep: the API server hears of it
			r.Stop(harness.Patience)
			c.start(t, i)
			c.back(t, i)
			c.finds(t, "well")
		}

		c.kubectl(t, "delete", "secret", "-n", "telltale-system", "telltale-ca")
	}

	stop()
	<-ended
	c.finds(t, "well")
	c.has(t, 0, 0)
}

// TestCanaryLeader kills the leader in an outage, and after it. Neither is told twice.
// If a leader was killed between the Lease and the event, the next one tells it.
func TestCanaryLeader(t *testing.T) {
	c := startCanary(t, 2)
	c.noEndpoint(t, 0)
	c.noEndpoint(t, 1)
	c.finds(t, "no_endpoints")
	c.has(t, 1, 0)
	c.killLeader(t)
	c.finds(t, "no_endpoints")
	c.has(t, 1, 0)

	if *wholeCanary {
		c.killAll(t)
	}

	for i := range c.replicas {
		c.back(t, i)
	}

	c.finds(t, "well")
	c.has(t, 1, 1)
	c.noEndpoint(t, c.leader(t))
	c.killLeader(t)
	c.finds(t, "well")
	c.has(t, 1, 1)
}

// killAll kills all in an outage. The mark is as if that was before the event was
// written, or before the Lease said that it was.
func (c *canaryCase) killAll(t *testing.T) {
	t.Helper()

	for name, spoil := range map[string]func(){
		"BeforeTheEvent": func() { c.kubectl(t, "delete", "events", "-A", "--field-selector", "reason=WebhookBypassed") },
		"AfterTheEvent":  func() {},
	} {
		t.Logf("killed: %s", name)

		for _, r := range c.replicas {
			r.Kill()
		}

		c.forgetTold(t)
		spoil()

		for i, r := range c.replicas {
			t.Setenv("POD_NAME", c.pods[i])
			harness.Start(t, r)
		}

		c.finds(t, "no_endpoints")
		c.says(t, `WebhookBypassed .*Service telltale-webhook has no endpoint`)
		c.has(t, 1, 0)
	}
}

// killLeader kills it, waits until the other leads, and starts it again.
func (c *canaryCase) killLeader(t *testing.T) {
	t.Helper()

	killed := c.leader(t)
	c.replicas[killed].Kill()
	c.leader(t)
	c.start(t, killed)
}

// forgetTold takes out of the Lease that the outage was told.
func (c *canaryCase) forgetTold(t *testing.T) {
	t.Helper()

	const lease = "lease/telltale-canary"

	mark := map[string]any{}
	if err := json.Unmarshal([]byte(c.kubectl(t, "get", lease, "-n", "telltale-system", "-o", `jsonpath={.metadata.annotations.telltale\.dev/canary}`)), &mark); err != nil {
		t.Fatal(err)
	}

	delete(mark, "told")

	text, err := json.Marshal(mark)
	if err != nil {
		t.Fatal(err)
	}

	c.kubectl(t, "annotate", "--overwrite", lease, "-n", "telltale-system", "telltale.dev/canary="+string(text))
}
