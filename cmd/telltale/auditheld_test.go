//go:build apiserver

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/test/harness"
)

// TestStopKeepsCounts stops all injection after pods were missed, and edits what concerns
// all pods meanwhile. The pods that were told stay in the counts, and are not told again.
func TestStopKeepsCounts(t *testing.T) {
	zone := strings.ReplaceAll(strings.Replace(envInjection("zone", "x", "ZONE", "a"), "kind: Injection", "kind: ClusterInjection", 1), ", namespace: shop", "")
	c := startAudit(t, envInjection("proxy", "web", "PROXY", "x")+zone)

	c.stop(t)
	c.apply(t, deployment("web", 3))
	c.hasPods(t, "web", 3)
	c.start(t)

	holds := func() {
		t.Helper()
		c.tells(t, "InjectionMissed", map[string]int{"Deployment/web": 3})
		c.output(t, "3 0 0 3 0 0", countsOf("proxy")...)
	}
	// The leader looks at all pods five seconds after an edit that concerns them, and
	// shows the counts then. Nothing may change, so there is nothing to wait for.
	looks := func() { t.Helper(); time.Sleep(12 * time.Second) }

	holds()
	c.kubectl(t, "create", "configmap", "telltale-stop", "-n", "telltale-system")
	harness.Eventually(t, "all replicas stop", stops(c.replicas, 1))
	c.apply(t, strings.Replace(zone, `"a"`, `"b"`, 1))
	looks()
	holds()
	c.kubectl(t, "delete", "configmap", "telltale-stop", "-n", "telltale-system")
	harness.Eventually(t, "all replicas go on", stops(c.replicas, 0))
	looks()
	holds()
}
