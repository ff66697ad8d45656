//go:build apiserver && observe

package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/test/backends"
	"github.com/telltale-dev/telltale/test/harness"
)

// TestObserveTenants has pods of two teams fail, and then Telltale itself. Alertmanager
// routes by the label `namespace`: each team is told of its own pods and of nothing else.
// Those that run Telltale are told of the rest.
func TestObserveTenants(t *testing.T) {
	t.Parallel()

	o := startObserved(t)
	teams := map[string]*backends.Receiver{"shop": backends.StartReceiver(t), "bank": backends.StartReceiver(t)}
	others := backends.StartReceiver(t)

	scrape := o.scrape()
	scrape.Hurry = true
	scrape.Alertmanager = backends.StartAlertmanager(t, backends.Routes(others, teams)).Address
	backends.StartPrometheus(t, scrape)

	o.kubectl(t, "create", "namespace", "bank")
	o.applyToBoth(t, envInjection("proxy", "web", "HTTP_PROXY", "ours"))
	o.inForce(t)
	o.applyToBoth(t, deployment("web", 2))

	told := func(by *backends.Receiver, status string, alert map[string]string) {
		harness.Eventually(t, "a notification", func(context.Context) error {
			_, err := by.Find(status, time.Time{}, alert)

			return err
		})
	}

	for namespace, team := range teams {
		told(team, backends.Firing, labels("TelltaleInjectionsFail", "namespace="+namespace))
	}

	o.r.Kill()
	told(others, backends.Firing, labels("TelltaleDown"))

	for namespace, team := range teams {
		told(team, backends.Resolved, labels("TelltaleInjectionsFail", "namespace="+namespace))

		if got := namespacesOf(team); !slices.Equal(got, []string{namespace}) {
			t.Errorf("team %s is told of %q", namespace, got)
		}
	}

	if got := namespacesOf(others); !slices.Equal(got, []string{"telltale-system"}) {
		t.Errorf("those that run Telltale are told of %q", got)
	}
}

// applyToBoth applies manifests to namespace shop, and to namespace bank.
func (o *observed) applyToBoth(t *testing.T, manifests string) {
	t.Helper()
	o.apply(t, manifests)
	o.apply(t, strings.ReplaceAll(manifests, "namespace: shop", "namespace: bank"))
}

// namespacesOf returns the namespaces that a receiver was told of.
func namespacesOf(r *backends.Receiver) []string {
	all := map[string]bool{}
	for _, n := range r.Notices() {
		all[n.Labels["namespace"]] = true
	}

	return slices.Sorted(maps.Keys(all))
}
