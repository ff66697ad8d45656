//go:build apiserver

package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/telltale-dev/telltale/test/harness"
)

// TestEndsWithView asks a replica to end that has many idle connections, and has a
// review come on each, one after the other. Meanwhile the Injection is edited: the
// pods get the edit, as the replica has heard of it, and none is in doubt.
func TestEndsWithView(t *testing.T) {
	const callers, pause = 14, time.Second // less than the time after which quiet connections are closed

	c, port := startInstalled(t)

	r := c.launch(t, port)
	harness.WaitReady(t, r)
	c.apply(t, envInjection("proxy", "web", "PROXY", "before"))
	c.output(t, "True", "get", "injection", "proxy", "-n", "shop", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)

	clients := make([]*http.Client, callers)
	for i := range clients {
		clients[i] = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		t.Cleanup(clients[i].CloseIdleConnections)

		if patch := ask(t, clients[i], port); !strings.Contains(patch, "before") {
			t.Fatal(patch)
		}
	}

	r.Signal(syscall.SIGTERM)

	edited := make(chan error, 1)
	patch := ""

	for i, one := range clients {
		time.Sleep(pause)

		if i == 1 { // it has begun to end
			go func() {
				_, err := c.Kubectl(t.Context(), "patch", "injection", "proxy", "-n", "shop", "--type=merge",
					`--patch={"spec": {"env": [{"name": "PROXY", "value": "after"}]}}`)
				edited <- err
			}()
		}

		if patch = ask(t, one, port); strings.Contains(patch, "InjectionsNotLoaded") {
			t.Errorf("review %d is in doubt: %s", i, patch)
		}
	}

	if err := <-edited; err != nil || !strings.Contains(patch, "after") {
		t.Errorf("the last review lacks the edit: %v, %s", err, patch)
	}

	<-r.Done()
}

// ask sends a review of a pod over a connection, and returns the patch.
func ask(t *testing.T, client *http.Client, port string) string {
	t.Helper()

	review := `{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "1",
		"kind": {"version": "v1", "kind": "Pod"}, "resource": {"version": "v1", "resource": "pods"}, "namespace": "shop", "operation": "CREATE",
		"object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
			"spec": {"containers": [{"name": "app", "image": "x"}]}}}}`

	response, err := client.Post(fmt.Sprintf("https://localhost:%s/mutate--v1-pod", port), "application/json", strings.NewReader(review))
	if err != nil {
		t.Fatal(err)
	}

	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}

	_ = response.Body.Close()

	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(body.Bytes(), &answer); err != nil || answer.Response == nil {
		t.Fatal(err, body.String())
	}

	return string(answer.Response.Patch)
}
