//go:build apiserver

package main

import (
	"context"
	"fmt"
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

// TestMarkOvertaken has somebody else write the Lease of the audit, and delete it. The
// leader goes on to write it: the next one must know what was told.
func TestMarkOvertaken(t *testing.T) {
	c := startAudit(t, envInjection("proxy", "web", "PROXY", "x"))
	// A new namespace changes the mark.
	isWritten := func(namespace string) {
		t.Helper()
		c.kubectl(t, "create", "namespace", namespace)
		harness.Eventually(t, "the Lease is written again", func(ctx context.Context) error {
			got, err := c.Kubectl(ctx, "get", "lease", "telltale-audit", "-n", "telltale-system", "-o", "jsonpath={.metadata.annotations}")
			if err == nil && (!strings.Contains(got, "telltale.dev/audit") || strings.Contains(got, "by-hand")) {
				err = fmt.Errorf("it has %s", got)
			}

			return err
		})
	}

	isWritten("first")
	c.kubectl(t, "annotate", "lease", "telltale-audit", "-n", "telltale-system", "by-hand=yes")
	isWritten("second")
	c.kubectl(t, "delete", "lease", "telltale-audit", "-n", "telltale-system")
	isWritten("third")
}
