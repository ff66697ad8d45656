//go:build apiserver

package main

import (
	"context"
	"fmt"
	"syscall"
	"testing"

	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// TestTimedOut halts the only replica until the API server has stopped waiting, and
// soon again. The pods' owner has the event InjectionTimeout, and none that says that
// they were missed. Pods that are missed later have. The next leader knows them apart,
// also when the event has expired.
func TestTimedOut(t *testing.T) {
	t.Parallel()

	c := &auditCase{cluster: startCluster(t)}
	port := harness.FreePort(t)
	c.sync(t, port) // the API server waits for 5 s
	c.kubectl(t, "create", "namespace", "shop")
	c.replicas = append(c.replicas, c.launch(t, port))
	c.audits(t)
	c.apply(t, envInjection("proxy", "web", "PROXY", "x"))
	c.inForce(t)
	harness.WaitReady(t, c.replicas[0])
	c.apply(t, deployment("web", 0))

	for pods := 1; pods <= 3; pods++ {
		c.connects(t) // else the API server can't send the review
		c.replicas[0].Signal(syscall.SIGSTOP)
		c.kubectl(t, "scale", "deployment/web", "-n", "shop", fmt.Sprintf("--replicas=%d", pods))
		c.hasPods(t, "web", pods)
		c.replicas[0].Signal(syscall.SIGCONT)
	}

	c.tells(t, "InjectionTimeout", map[string]int{"Deployment/web": 3})
	c.output(t, "3 0 3 0 0 0", countsOf("proxy")...)

	c.kubectl(t, "delete", "mutatingwebhookconfiguration", "telltale")
	c.notAsked(t)
	c.kubectl(t, "scale", "deployment/web", "-n", "shop", "--replicas=5")
	c.tells(t, "InjectionMissed", map[string]int{"Deployment/web": 2})
	c.output(t, "5 0 3 2 0 0", countsOf("proxy")...)

	c.matches(t, `"timedOut":\{("[\w-]{8}":"[^"]+",?){3}\}`, "get", "lease", "telltale-audit", "-n", "telltale-system", "-o", `jsonpath={.metadata.annotations.telltale\.dev/audit}`)
	c.stop(t)
	c.kubectl(t, "delete", "events", "-n", "shop", "--field-selector", "reason=InjectionTimeout")
	c.start(t)
	c.audits(t)
	c.kubectl(t, "scale", "deployment/web", "-n", "shop", "--replicas=6")
	c.tells(t, "InjectionMissed", map[string]int{"Deployment/web": 3})
	c.tells(t, "InjectionTimeout", map[string]int{})
	c.output(t, "6 0 3 3 0 0", countsOf("proxy")...)
}

// TestHalted halts the replica that the API server asks, until the other one, which
// leads, has told that the pods were missed. They are not told again, as reviews that
// timed out, when the replica goes on.
func TestHalted(t *testing.T) {
	c := startAudit(t, envInjection("proxy", "web", "PROXY", "x"), "--webhook-timeout=5s")
	asked := c.other(t, c.audits(t))

	if err := telltale.Register(t.Context(), c.ControlPlane, asked.Port, `{"op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": 5}`); err != nil {
		t.Fatal(err)
	}

	c.connects(t)
	asked.Signal(syscall.SIGSTOP)
	c.apply(t, deployment("web", 2))
	c.hasPods(t, "web", 2)
	c.tells(t, "InjectionMissed", map[string]int{"Deployment/web": 2})
	asked.Signal(syscall.SIGCONT)
	harness.WaitReady(t, asked)

	// One more pod that is missed is told after all that the replica has to tell.
	c.connects(t)
	c.kubectl(t, "delete", "mutatingwebhookconfiguration", "telltale")
	c.notAsked(t)
	c.kubectl(t, "scale", "deployment/web", "-n", "shop", "--replicas=3")
	c.tells(t, "InjectionMissed", map[string]int{"Deployment/web": 3})
	c.tells(t, "InjectionTimeout", map[string]int{})
	c.output(t, "3 0 0 3 0 0", countsOf("proxy")...)
}

// other returns the replica that is not this one.
func (c *auditCase) other(t *testing.T, than *telltale.Replica) *telltale.Replica {
	t.Helper()

	for _, r := range c.replicas {
		if r != than {
			return r
		}
	}

	t.Fatal("there is no other replica")

	return nil
}

// connects waits until the API server has a connection to the replica that it asks.
func (c *auditCase) connects(t *testing.T) {
	t.Helper()
	harness.Eventually(t, "the API server asks", func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, "run", "x", "-n", "shop", "--image=x", "-l", "app=web", "--dry-run=server", "-o", "jsonpath={.metadata.annotations}")
		if err == nil && out == "" {
			err = fmt.Errorf("no record")
		}

		return err
	})
}
