//go:build apiserver

package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// TestBypassed has the API server pass Telltale by in several ways while it is
// well. Each pod is shown.
func TestBypassed(t *testing.T) {
	c := startAudit(t, strings.Replace(envInjection("proxy", "x", "PROXY", "x"), "{matchLabels: {app: x}}", "{}", 1))
	port := c.replicas[0].Port
	want := map[string]int{}
	missed := func(name string) {
		t.Helper()
		c.notAsked(t)
		c.apply(t, deployment(name, 2))
		c.hasPods(t, name, 2)

		want["Deployment/"+name] = 2
	}

	c.kubectl(t, "delete", "mutatingwebhookconfiguration", "telltale")
	missed("deleted")
	t.Logf("shown after %v: the registration is deleted", c.tells(t, "InjectionMissed", want))

	c.sync(t, port)
	harness.WaitReady(t, c.replicas[0])
	c.kubectl(t, "patch", "mutatingwebhookconfiguration", "telltale", "--type=json",
		`--patch=[{"op": "add", "path": "/webhooks/0/objectSelector/matchLabels", "value": {"some": "label"}}]`)
	missed("narrowed")
	c.kubectl(t, "patch", "mutatingwebhookconfiguration", "telltale", "--type=json",
		`--patch=[{"op": "remove", "path": "/webhooks/0/objectSelector/matchLabels"}]`)
	t.Logf("shown after %v: the registration was narrowed, and put back", c.tells(t, "InjectionMissed", want))

	if err := telltale.Register(t.Context(), c.ControlPlane, harness.FreePort(t)); err != nil {
		t.Fatal(err)
	}

	missed("nobody")
	t.Logf("shown after %v: nothing listens where the API server calls", c.tells(t, "InjectionMissed", want))
}

// notAsked waits until the API server no longer asks Telltale about pods.
func (c *auditCase) notAsked(t *testing.T) {
	t.Helper()
	harness.Eventually(t, "Telltale is not asked", func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, "run", "x", "-n", "shop", "--image=x", "--dry-run=server", "-o", "jsonpath={.metadata.annotations}")
		if err == nil && strings.Contains(out, "telltale.dev") {
			err = errors.New(out)
		}

		return err
	})
}
