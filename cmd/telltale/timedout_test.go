//go:build apiserver

package main

import (
	"syscall"
	"testing"

	"github.com/telltale-dev/telltale/test/harness"
)

// TestTimedOut halts the only replica until the API server has stopped waiting. The
// pod's owner has the event InjectionTimeout, and none that says that it was missed.
// A pod that is missed later has.
func TestTimedOut(t *testing.T) {
	t.Parallel()

	c := &auditCase{cluster: startCluster(t)}
	port := harness.FreePort(t)
	c.install(t, port)
	c.replicas = append(c.replicas, c.launch(t, port))
	c.audits(t)
	c.apply(t, envInjection("proxy", "web", "PROXY", "x"))
	c.inForce(t)
	harness.WaitReady(t, c.replicas[0])

	// The review must be sent: there is a connection from before.
	c.output(t, "telltale.dev/injected", "run", "x", "-n", "shop", "--image=x", "-l", "app=web", "--dry-run=server", "-o", "jsonpath={.metadata.annotations}")
	c.replicas[0].Signal(syscall.SIGSTOP)
	c.apply(t, deployment("web", 1))
	c.hasPods(t, "web", 1)
	c.replicas[0].Signal(syscall.SIGCONT)
	c.tells(t, "InjectionTimeout", map[string]int{"Deployment/web": 1})
	c.output(t, "1 0 1 0 0 0", countsOf("proxy")...)

	c.kubectl(t, "delete", "mutatingwebhookconfiguration", "telltale")
	c.notAsked(t)
	c.kubectl(t, "scale", "deployment/web", "-n", "shop", "--replicas=3")
	c.tells(t, "InjectionMissed", map[string]int{"Deployment/web": 2})
	c.output(t, "3 0 1 2 0 0", countsOf("proxy")...)
}
