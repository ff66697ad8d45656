//go:build apiserver

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/test/harness"
)

// TestRestored has the pods of two owners fail, mends them one after the other, and
// has the leader killed between. Each owner is told once, when all of its pods have
// their Injections, and again after the next failure.
func TestRestored(t *testing.T) {
	c := startAudit(t, strings.Replace(envInjection("proxy", "x", "PROXY", "x"), "{matchLabels: {app: x}}", "{}", 1))
	c.apply(t, deployment("first", 0)+deployment("second", 0))
	c.sets(t, "first", "PROXY=own", conflict)
	c.sets(t, "second", "PROXY=own", conflict)
	c.tells(t, "InjectionConflict", map[string]int{"Deployment/first": 3, "Deployment/second": 3})

	c.sets(t, "first", "PROXY-", injected)
	c.tells(t, "InjectionRestored", map[string]int{"Deployment/first": 1})
	c.output(t, "All 3 pods have their Injections.", "describe", "deployment", "first", "-n", "shop")

	c.audits(t).Kill()

	for _, r := range c.replicas {
		if r.State() == nil {
			harness.Eventually(t, "the next leader", leads(r, 1))
		}
	}

	c.audits(t)
	c.sets(t, "second", "PROXY-", injected)
	c.tells(t, "InjectionRestored", map[string]int{"Deployment/first": 1, "Deployment/second": 1})

	c.sets(t, "first", "PROXY=own", conflict)
	c.sets(t, "first", "PROXY-", injected)
	c.tells(t, "InjectionRestored", map[string]int{"Deployment/first": 2, "Deployment/second": 1})
}

// TestRestoredDenied has Telltale refuse an owner's pods, so that none exists that
// lacks the Injection. The owner is told when its pods have it.
func TestRestoredDenied(t *testing.T) {
	c := startAudit(t, envInjection("proxy", "web", "HTTP_PROXY", "other")+"  onFailure: Deny\n")
	c.audits(t)
	c.apply(t, deployment("web", 3))
	c.matches(t, "^(InjectionConflict )+$", "get", "events", "-n", "shop", "--field-selector", "source=telltale", "-o", "jsonpath={range .items[*]}{.reason} {end}")
	c.kubectl(t, "scale", "deployment/web", "-n", "shop", "--replicas=0")
	time.Sleep(2 * time.Second) // times have no fractions: a pod of the second of the last refusal may be older than it
	c.sets(t, "web", "HTTP_PROXY-", injected)
	c.tells(t, "InjectionRestored", map[string]int{"Deployment/web": 1})
}

// conflict and injected match the record of a pod.
const conflict, injected = `=proxy@[0-9a-f]{8}=InjectionConflict`, `proxy@[0-9a-f]{8}=`

// sets has three pods of an app created, with a variable set or removed, and waits
// for their records.
func (c *auditCase) sets(t *testing.T, app, variable, record string) {
	t.Helper()
	c.kubectl(t, "scale", "deployment/"+app, "-n", "shop", "--replicas=0")
	c.hasPods(t, app, 0)
	c.kubectl(t, "set", "env", "deployment/"+app, "-n", "shop", variable)
	c.kubectl(t, "scale", "deployment/"+app, "-n", "shop", "--replicas=3")
	c.matches(t, `^(`+record+`\n){3}$`, recordsOf(app)...)
}
