//go:build apiserver

package main

import (
	"fmt"
	"testing"

	"github.com/telltale-dev/telltale/test/harness"
)

// TestNoAudit switches the audit off and on again. While it is off, each Injection
// says so, and has no counts of another time.
func TestNoAudit(t *testing.T) {
	t.Parallel()

	c, port := startInstalled(t)
	c.apply(t, envInjection("proxy", "web", "PROXY", "x"))

	const (
		condition = `jsonpath={range .status.conditions[?(@.type=="Audited")]}{.status} {.message}{end}|{.status.pods.selected}`
		off       = `^False Telltale runs with --audit=false: .*\|$`
	)

	for _, on := range []bool{true, false, true} {
		r := c.launch(t, port, fmt.Sprintf("--audit=%v", on))
		harness.WaitReady(t, r)

		want, enabled := off, 0.0
		if on {
			want, enabled = `^\|\d+$`, 1
		}

		if got, err := r.Metric(t.Context(), "telltale_audit_enabled"); err != nil || got != enabled {
			t.Fatal(got, err)
		}

		c.apply(t, deployment("web", 2))
		c.matches(t, want, "get", "injection", "proxy", "-n", "shop", "-o", condition)
		r.Stop(harness.Patience)
	}
}
