//go:build apiserver

package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/telltale-dev/telltale/test/harness"
)

// TestSlowWebhook has another webhook answer late about a pod that Telltale was asked
// about. Meanwhile an Injection is made. The pod is created after that, and was not
// missed.
func TestSlowWebhook(t *testing.T) {
	c := startAudit(t, envInjection("other", "other", "OTHER", "x"))
	asked, answer := c.slowWebhook(t)

	created := make(chan error, 1)
	go func() {
		_, err := c.Kubectl(t.Context(), "run", "slow", "-n", "shop", "--image=x", "-l", "app=web,slow=yes")
		created <- err
	}()

	select {
	case <-asked:
	case err := <-created:
		t.Fatalf("the API server did not call the slow webhook: %v", err)
	}

	c.apply(t, envInjection("proxy", "web", "PROXY", "x"))
	c.inForce(t)
	answer()

	if err := <-created; err != nil {
		t.Fatal(err)
	}

	// Once one that was missed is told, the other was looked at, too.
	c.kubectl(t, "delete", "mutatingwebhookconfiguration", "telltale")
	c.notAsked(t)
	c.kubectl(t, "run", "missed", "-n", "shop", "--image=x", "-l", "app=web")
	c.tells(t, "InjectionMissed", map[string]int{"Pod/missed": 1})
	c.output(t, "2 0 0 1 0 0", countsOf("proxy")...)
}

// slowWebhook registers a webhook for pods with the label slow. asked is closed when
// the API server calls it, and it answers after answer was called.
func (c *auditCase) slowWebhook(t *testing.T) (asked <-chan struct{}, answer func()) {
	t.Helper()

	there, called, goOn := make(chan struct{}), make(chan struct{}), make(chan struct{})
	isThere := sync.OnceFunc(func() { close(there) })
	isCalled := sync.OnceFunc(func() { close(called) })
	answer = sync.OnceFunc(func() { close(goOn) })

	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
			review.Request = &admissionv1.AdmissionRequest{DryRun: new(true)}
		}

		if *review.Request.DryRun {
			isThere()
		} else {
			isCalled()
			<-goOn
		}

		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		review.Request = nil
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(answer)

	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	c.apply(t, fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: telltale-later} # webhooks are called in the order of names
webhooks:
- name: later.example.com
  clientConfig: {url: %q, caBundle: %s}
  rules: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]
  objectSelector: {matchLabels: {slow: "yes"}}
  failurePolicy: Ignore
  sideEffects: None
  timeoutSeconds: 30
  admissionReviewVersions: [v1]
`, server.URL, base64.StdEncoding.EncodeToString(ca)))
	harness.Eventually(t, "the API server calls the webhook", func(ctx context.Context) error {
		if _, err := c.Kubectl(ctx, "run", "x", "-n", "shop", "--image=x", "-l", "slow=yes", "--dry-run=server"); err != nil {
			return err
		}

		select {
		case <-there:
			return nil
		default:
			return errors.New("not yet")
		}
	})

	return called, answer
}
