//go:build apiserver && observe

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/test/backends"
	"github.com/telltale-dev/telltale/test/harness"
)

// promised is the time from an alert to a notification of it, at most.
const promised = 30 * time.Second

// alarm is a cause, and the labels of the alert that it must raise.
type alarm struct {
	name       string
	alert      map[string]string
	make, mend func(t *testing.T)
}

// alerted is a cluster with a Prometheus, whose alerts a real Alertmanager sends to a
// receiver.
type alerted struct {
	*observed

	certificates string // folder
	receiver     *backends.Receiver
}

// TestObserveAlerts makes each cause for real, and mends it. The receiver is told of the
// alert, and that it is over. The rules are those of config/, but a minute of theirs is a
// second.
func TestObserveAlerts(t *testing.T) {
	a := startAlerted(t)
	table := "| cause | alert | notified after | of that, after the alert | after its end, told within |\n| --- | --- | ---: | ---: | ---: |\n"

	for _, tc := range a.alarms() {
		t.Run(tc.name, func(t *testing.T) { table += a.raise(t, tc) })
	}

	t.Logf("a minute of the rules is a second here\n%s", table)
}

func startAlerted(t *testing.T) *alerted {
	t.Helper()

	a := &alerted{certificates: t.TempDir(), receiver: backends.StartReceiver(t)}
	ca := writeCertificateFor(t, a.certificates, month)
	a.observed = startObserved(t, "--cert-dir="+a.certificates, "--canary-interval="+canaryInterval.String())
	a.trust(t, ca)

	manifests := ""
	for _, app := range []string{"web", "rbac", "policy", "away"} {
		manifests += envInjection(app, app, "HTTP_PROXY", "ours") + deployment(app, 0)
	}

	a.apply(t, manifests)
	a.inForce(t)
	a.canaryFinds(t, "well")

	scrape := a.scrape()
	scrape.Hurry = true
	scrape.Alertmanager = backends.StartAlertmanager(t, backends.Routes(a.receiver, nil)).Address
	p := backends.StartPrometheus(t, scrape)
	harness.Eventually(t, "all rules", p.Health)

	return a
}

// raise makes a cause, waits for the notification, mends the cause, and waits for the
// other notification. It returns a row of the table.
func (a *alerted) raise(t *testing.T, tc alarm) string {
	t.Helper()

	tc.alert["cluster"] = a.name
	start := time.Now()

	tc.make(t)

	firing := a.told(t, backends.Firing, start, tc.alert)
	waited := firing.At.Sub(firing.StartsAt)

	if waited > promised {
		t.Errorf("the notification came %v after the alert", waited)
	}

	mended := time.Now()

	tc.mend(t)

	resolved := a.told(t, backends.Resolved, mended, tc.alert)

	return fmt.Sprintf("| %s | %s | %.1f s | %.1f s | %.1f s |\n", tc.name, tc.alert["alertname"],
		firing.At.Sub(start).Seconds(), waited.Seconds(), resolved.At.Sub(mended).Seconds())
}

// told waits until the receiver has a notice.
func (a *alerted) told(t *testing.T, status string, since time.Time, alert map[string]string) (n backends.Notice) {
	t.Helper()
	harness.Eventually(t, "a notification", func(context.Context) (err error) {
		n, err = a.receiver.Find(status, since, alert)

		return err
	})

	return n
}

// trust has the API server trust a CA.
func (o *observed) trust(t *testing.T, ca string) {
	t.Helper()
	o.kubectl(t, "patch", "mutatingwebhookconfiguration", "telltale", "--type=json",
		`--patch=[{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": "`+ca+`"}]`)
}

// canaryFinds waits until the canary has found something.
func (o *observed) canaryFinds(t *testing.T, result string) {
	t.Helper()
	harness.Eventually(t, "the canary finds "+result, func(ctx context.Context) error {
		n, err := o.r.Metric(ctx, "telltale_canary", result)
		if err == nil && n != 1 {
			err = errors.New("not yet")
		}

		return err
	})
}

// applied applies manifests, and returns what deletes them.
func (o *observed) applied(t *testing.T, manifests string) (remove func(t *testing.T)) {
	t.Helper()
	o.apply(t, manifests)

	return func(t *testing.T) {
		t.Helper()
		o.kubectl(t, "delete", "-f", o.write(t, manifests))
	}
}

// month is how long a good certificate is valid.
const month = 30 * 24 * time.Hour

// labels are those of an alert about Telltale itself, as "name=value".
func labels(alert string, more ...string) map[string]string {
	all := map[string]string{"alertname": alert, "namespace": "telltale-system"}

	for _, one := range more {
		name, value, _ := strings.Cut(one, "=")
		all[name] = value
	}

	return all
}
