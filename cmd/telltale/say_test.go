//go:build apiserver

package main

import (
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/test/harness"
)

// TestModes looks first, then injects, then pauses: an Injection that joins a value to
// the one of a pod, and that another pod can't have.
func TestModes(t *testing.T) {
	t.Parallel()

	c, port := startInstalled(t)
	harness.WaitReady(t, c.launch(t, port))
	c.apply(t, bare("joins", `{name: NO_PROXY, value: own}`)+bare("source", `{name: NO_PROXY, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}`))

	injection := func(mode string) {
		c.apply(t, `
apiVersion: telltale.dev/v1alpha1
kind: Injection
metadata: {name: proxy, namespace: shop}
spec:
  selector: {}
  mode: `+mode+`
  env: [{name: NO_PROXY, value: .svc, join: {separator: ","}}]
`)
	}
	ready := `jsonpath={range .status.conditions[?(@.type=="Ready")]}{.status} {.reason}{end}`
	value := "jsonpath={.spec.containers[0].env[0].value} {.metadata.annotations}"

	injection("Preview")
	c.output(t, "False Preview", "get", "injection", "proxy", "-n", "shop", "-o", ready)
	c.matches(t, `^2 1 InjectionConflict 1 shop/source container "app" already sets env NO_PROXY with valueFrom`, "get", "injection", "proxy", "-n", "shop", "-o",
		`jsonpath={.status.pods.selected} {.status.pods.failed} {range .status.pods.wouldFail[*]}{.reason} {.pods} {.example} {.text}{end}`)
	c.apply(t, bare("previewed", `{name: NO_PROXY, value: own}`))
	c.matches(t, `^own \{.*"telltale.dev/previewed":"proxy@\w{8}"`, "get", "pod", "previewed", "-n", "shop", "-o", value)

	injection("Active")
	c.output(t, "True InForce", "get", "injection", "proxy", "-n", "shop", "-o", ready)
	c.apply(t, bare("active", `{name: NO_PROXY, value: own}`))
	c.matches(t, `^own,.svc \{.*"telltale.dev/joined":"app/NO_PROXY=0\+3#\w{8}"`, "get", "pod", "active", "-n", "shop", "-o", value)

	injection("Paused")
	c.output(t, "False Paused", "get", "injection", "proxy", "-n", "shop", "-o", ready)
	c.apply(t, bare("paused", `{name: NO_PROXY, value: own}`))

	if out := c.kubectl(t, "get", "pod", "paused", "-n", "shop", "-o", value); !strings.HasPrefix(out, "own ") {
		t.Errorf("paused, and the pod has %s", out)
	}

	// It would have failed on two pods, and has on none.
	if out := c.kubectl(t, "get", "events", "-n", "shop", "--field-selector", "source=telltale"); out != "" && out != "No resources found in shop namespace.\n" {
		t.Errorf("an event tells of a failure:\n%s", out)
	}
}

// bare is a pod without an owner.
func bare(name, env string) string {
	return `---
apiVersion: v1
kind: Pod
metadata: {name: ` + name + `, namespace: shop}
spec:
  containers: [{name: app, image: app, env: [` + env + `]}]
`
}
