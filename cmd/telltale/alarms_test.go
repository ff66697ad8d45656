//go:build apiserver && observe

package main

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/telltale-dev/telltale/test/harness"
)

// alarms are the causes, each with its end. While the API server is away, nothing else
// can be tested, so that comes last.
func (a *alerted) alarms() []alarm {
	renew := func(valid time.Duration) func(*testing.T) {
		return func(t *testing.T) { t.Helper(); a.trust(t, writeCertificateFor(t, a.certificates, valid)) }
	}

	return []alarm{
		{
			"injections fail", labels("TelltaleInjectionsFail", "namespace=shop", "reason=InjectionConflict", "severity=warning"),
			func(t *testing.T) { t.Helper(); a.scale(t, "web", 3) },
			func(t *testing.T) {
				t.Helper()
				a.kubectl(t, "patch", "injection", "web", "-n", "shop", "--type=merge", `--patch={"spec": {"onConflict": "KeepPod"}}`)
			},
		},
		{
			"the registration is gone", labels("TelltaleCanaryBypassed", "result=not_registered", "severity=critical"),
			func(t *testing.T) { t.Helper(); a.kubectl(t, "delete", "mutatingwebhookconfiguration", "telltale") },
			func(t *testing.T) { t.Helper(); a.sync(t, a.r.Port); renew(month)(t) },
		},
		{"a certificate runs out", labels("TelltaleCertificateExpires", "severity=critical"), renew(time.Hour), renew(month)},
		a.refused("RBAC refuses events", "rbac", a.noRight),
		a.refused("a policy refuses events", "policy", a.noPolicy),
		{
			"no Telltale is up", labels("TelltaleDown", "severity=critical"),
			func(t *testing.T) { t.Helper(); a.r.Kill() },
			func(t *testing.T) { t.Helper(); harness.Start(t, a.r); harness.WaitReady(t, a.r) },
		},
		{
			"the API server is away", labels("TelltaleEventsPending", "severity=warning"),
			a.away, func(t *testing.T) {
				t.Helper()

				if err := a.StartAPIServer(t.Context()); err != nil {
					t.Fatal(err)
				}
			},
		},
	}
}

// refused is an alarm: the API server takes no events of ours, but all else. No quota can do
// that: Kubernetes exempts events (k8s.io/kubernetes v1.37.2 pkg/quota/v1/install/registry.go).
func (a *alerted) refused(name, app string, refuse func(t *testing.T) (allow func(t *testing.T))) alarm {
	var allow func(t *testing.T)

	return alarm{
		name, labels("TelltaleEventsPending", "severity=warning"),
		func(t *testing.T) {
			t.Helper()

			allow = refuse(t)
			a.scale(t, app, 2)
		},
		func(t *testing.T) {
			t.Helper()
			allow(t)
			a.tells(t, "InjectionConflict", a.conflicts(t, app, 2))
		},
	}
}

// conflicts are the events of all Deployments so far, and of a new one.
func (a *alerted) conflicts(t *testing.T, app string, pods int) map[string]int {
	t.Helper()

	all, err := a.auditCase.told(t.Context(), "InjectionConflict")
	if err != nil {
		t.Fatal(err)
	}

	all["Deployment/"+app] = pods

	return all
}

// noRight takes the right to write events away.
func (a *alerted) noRight(t *testing.T) (allow func(t *testing.T)) {
	t.Helper()

	var role rbacv1.ClusterRole
	if err := json.Unmarshal([]byte(a.kubectl(t, "get", "clusterrole", "telltale", "-o", "json")), &role); err != nil {
		t.Fatal(err)
	}

	role.Rules = slices.DeleteFunc(role.Rules, func(r rbacv1.PolicyRule) bool {
		return slices.Contains(r.Resources, "events") && slices.Contains(r.Verbs, "create")
	})

	less, err := json.Marshal(role)
	if err != nil {
		t.Fatal(err)
	}

	a.kubectl(t, "replace", "-f", a.write(t, string(less)))

	return func(t *testing.T) { t.Helper(); a.kubectl(t, "apply", "-k", "../../config/rbac") }
}

// noPolicy makes a policy that refuses Telltale's events. It waits until it holds.
func (a *alerted) noPolicy(t *testing.T) (allow func(t *testing.T)) {
	t.Helper()

	remove := a.applied(t, noEvents("{}"))
	a.refusesEvents(t, "shop", "no-events")

	return remove
}

// away kills the API server while failures wait to be written.
func (a *alerted) away(t *testing.T) {
	t.Helper()

	for pods := 10; ; pods += 10 {
		a.scale(t, "away", pods)
		a.StopAPIServer()

		pending, err := a.r.Metric(t.Context(), "telltale_report_pending", "event")
		if err != nil || pending > 0 {
			return
		}

		if err := a.StartAPIServer(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
