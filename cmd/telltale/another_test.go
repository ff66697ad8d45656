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
	"strings"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
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

// TestDroppedField has a second webhook, which knows no sidecars, drop the restartPolicy
// of one, as an old API server does; and put a sidecar of its own, with a variable of
// ours, before the containers of a pod, and take a variable from one of two containers
// of another. The first and the last are lost; a replaced probe is not.
func TestDroppedField(t *testing.T) {
	c := startAudit(t, strings.Replace(containerInjection("mesh", "dropped", "wait"), "name: wait,", "name: wait, restartPolicy: Always,", 1)+
		strings.Replace(containerInjection("probed", "probed", "wait"), "name: wait,", "name: wait, restartPolicy: Always, startupProbe: {tcpSocket: {port: 1}},", 1)+
		strings.Replace(envInjection("proxy", "meshed", "PROXY", "x"), "env: [", "env: [{name: NO_PROXY, value: x}, ", 1)+envInjection("two", "robbed", "PROXY", "x"))
	c.another(t, func(pod *corev1.Pod) {
		spec := &pod.Spec

		switch pod.Labels["app"] {
		case "dropped":
			spec.InitContainers[0].RestartPolicy = nil
		case "probed":
			spec.InitContainers[0].StartupProbe.ProbeHandler = corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(15020), Path: "/x"}}
		case "meshed":
			own := corev1.Container{Name: "mesh", Image: "x", Env: []corev1.EnvVar{{Name: "NO_PROXY", Value: "own"}}}
			spec.Containers = append([]corev1.Container{own}, spec.Containers...)
		case "robbed":
			spec.Containers[1].Env = nil
		}
	})

	c.apply(t, deployment("dropped", 3)+deployment("probed", 2)+deployment("meshed", 2)+deployment("robbed", 2)+"      - {name: second, image: x}\n")
	c.tells(t, "InjectionLost", map[string]int{"Deployment/dropped": 3, "Deployment/robbed": 2})
	c.output(t, `the pod no longer has init container wait with its restartPolicy`, "describe", "deployment", "dropped", "-n", "shop")
	c.output(t, `container "second" no longer sets env PROXY`, "describe", "deployment", "robbed", "-n", "shop")
	c.output(t, "2 0 0 0 2 0", countsOf("probed")...)
	c.output(t, "2 2 0 0 0 0", countsOf("proxy")...)
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
