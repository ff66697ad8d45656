//go:build apiserver

package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// TestAnotherWebhook has a second webhook change pods after Telltale: it removes a
// variable from some, which is shown, and has others pull from a mirror, which is
// not.
func TestAnotherWebhook(t *testing.T) {
	c := startAudit(t, containerInjection("waits", "mirrored", "wait")+envInjection("proxy", "robbed", "PROXY", "x"))
	c.another(t, func(pod *corev1.Pod) {
		if pod.Labels["app"] == "robbed" {
			env := &pod.Spec.Containers[0].Env
			*env = slices.DeleteFunc(*env, func(v corev1.EnvVar) bool { return v.Name == "PROXY" })
		}

		for i := range pod.Spec.InitContainers {
			pod.Spec.InitContainers[i].Image = "mirror.example/wait:1"
		}
	})

	c.apply(t, deployment("robbed", 3)+deployment("mirrored", 2))
	c.tells(t, "InjectionLost", map[string]int{"Deployment/robbed": 3})
	c.output(t, `Injection "proxy" not applied: it was applied, and something took it away: container "app" no longer sets env PROXY.`,
		"describe", "deployment", "robbed", "-n", "shop")
	c.output(t, "3 0 0 0 0 3", countsOf("proxy")...)
	c.output(t, "2 0 0 0 2 0", countsOf("waits")...)
	c.tells(t, "InjectionMissed", map[string]int{})
}

// another registers a webhook that the API server calls after Telltale.
func (c *auditCase) another(t *testing.T, change func(*corev1.Pod)) {
	t.Helper()
	ctrllog.SetLogger(logr.Discard()) // else it warns that there is none

	server := httptest.NewTLSServer(&ctrlwebhook.Webhook{Handler: ctrlwebhook.HandlerFunc(
		func(_ context.Context, r ctrlwebhook.Request) ctrlwebhook.Response {
			var pod corev1.Pod

			err := json.Unmarshal(r.Object.Raw, &pod)
			if err != nil {
				return ctrlwebhook.Errored(http.StatusBadRequest, err)
			}

			change(&pod)

			changed, err := json.Marshal(&pod)
			if err != nil {
				return ctrlwebhook.Errored(http.StatusInternalServerError, err)
			}

			return ctrlwebhook.PatchResponseFromRaw(r.Object.Raw, changed)
		})})
	t.Cleanup(server.Close)

	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	c.apply(t, fmt.Sprintf(`---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: with-a-later-name}
webhooks:
- name: later.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: {url: %q, caBundle: %s}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}
`, server.URL, base64.StdEncoding.EncodeToString(ca)))
}
