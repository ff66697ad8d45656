//go:build apiserver && observe

package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/test/backends"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// observed is a cluster with one Telltale, which sends log records to a real store.
type observed struct {
	*auditCase

	name  string // of the cluster
	store *backends.Store
	r     *telltale.Replica
	api   client.Client
}

// startObserved starts a store and a cluster, which has the name of the test.
func startObserved(t *testing.T, flags ...string) *observed {
	t.Helper()

	return observe(t, t.Name(), backends.StartStore(t), flags...)
}

// observe starts a cluster.
func observe(t *testing.T, name string, store *backends.Store, flags ...string) *observed {
	t.Helper()

	o := &observed{auditCase: &auditCase{cluster: startCluster(t)}, name: name, store: store}

	port := harness.FreePort(t)
	o.install(t, port)
	o.api = clientFor(t, o.Config)
	o.r = harness.Replica(t, telltale.Options{
		Program: program, Config: telltale.ServiceAccount(o.ControlPlane), Dir: o.dir, Port: port,
		Flags: append([]string{"--webhook-timeout=30s", "--cluster-name=" + name}, flags...),
	})
	o.r.Env = []string{"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=" + store.Endpoint()}
	harness.Start(t, o.r)
	o.replicas = []*telltale.Replica{o.r}
	o.audits(t)

	return o
}

// scrape says how a Prometheus scrapes it, with the rules of config/.
func (o *observed) scrape() backends.Scrape {
	return backends.Scrape{Clusters: map[string][]string{o.name: {o.r.Metrics}}, Rules: ruleFile}
}

// ruleFile has the rules of config/.
const ruleFile = "../../config/prometheus/rule.yaml"

// failed returns the pods with a record of a failure: the truth.
func (o *observed) failed(t *testing.T) (pods []corev1.Pod) {
	t.Helper()

	var list corev1.PodList
	if err := o.api.List(t.Context(), &list, client.InNamespace("shop")); err != nil {
		t.Fatal(err)
	}

	for i := range list.Items {
		if list.Items[i].Annotations["telltale.dev/failed"] != "" {
			pods = append(pods, list.Items[i])
		}
	}

	return pods
}

// has waits until the store has so many failures.
func (o *observed) has(t *testing.T, want int) {
	t.Helper()
	harness.Eventually(t, "the store", func(ctx context.Context) error {
		n, err := o.store.Failures(ctx, o.name)
		if err == nil && n != int64(want) {
			err = fmt.Errorf("it has %d failures, want %d", n, want)
		}

		return err
	})
}

// events are the sum of the events' counts.
func (o *observed) events(t *testing.T) (sum int) {
	t.Helper()

	told, err := o.told(t.Context(), "InjectionConflict")
	if err != nil {
		t.Fatal(err)
	}

	for _, n := range told {
		sum += n
	}

	return sum
}

// scale has an app get more pods that fail, and waits until they exist.
func (o *observed) scale(t *testing.T, app string, replicas int) {
	t.Helper()
	o.kubectl(t, "scale", "deployment/"+app, "-n", "shop", fmt.Sprintf("--replicas=%d", replicas))
	o.hasPods(t, app, replicas)
}

// TestObserveTerm ends Telltale while failures are pending: events and records are
// exact all the same.
func TestObserveTerm(t *testing.T) {
	t.Parallel()

	o := startObserved(t)
	o.apply(t, envInjection("proxy", "web", "HTTP_PROXY", "ours")+deployment("web", 0))
	o.inForce(t)
	o.scale(t, "web", 200)

	pending, err := o.r.Metric(t.Context(), "telltale_report_pending", "otlp")
	if err != nil {
		t.Fatal(err)
	}

	o.r.Stop(time.Minute)
	o.has(t, 200)

	if failed, events := len(o.failed(t)), o.events(t); failed != 200 || events != 200 {
		t.Errorf("%d pods failed, and events show %d", failed, events)
	}

	t.Logf("%v of 200 were pending before SIGTERM", pending)
}

// TestObserveKill kills Telltale while the store answers: what happened since the last
// flush is lost, and nothing else.
func TestObserveKill(t *testing.T) {
	t.Parallel()

	const flush = 11 * time.Second // and a second for the API server's clock, which has no fractions

	o := startObserved(t)
	o.apply(t, envInjection("proxy", "web", "HTTP_PROXY", "ours")+deployment("web", 0))
	o.inForce(t)
	o.scale(t, "web", 100)
	o.has(t, 100)
	o.scale(t, "web", 250)
	o.r.Kill()

	since, late := time.Now().Add(-flush-time.Second), 0

	all := o.failed(t)
	for i := range all {
		if all[i].CreationTimestamp.After(since) {
			late++
		}
	}

	time.Sleep(3 * time.Second) // the store shows a record after a second

	n, err := o.store.Failures(t.Context(), o.name)
	if err != nil {
		t.Fatal(err)
	}

	lost := len(all) - int(n)
	t.Logf("%d pods failed, %d of them in the last %v; %d are lost", len(all), late, flush, lost)

	if lost < 0 || lost > late {
		t.Errorf("%d are lost, and at most %d may be", lost, late)
	}

	harness.Start(t, o.r)
	harness.WaitReady(t, o.r)
	o.scale(t, "web", 260)
	o.has(t, int(n)+10)
}

// TestObserveNotes has pods created while Telltale is away. It heals them. The store has
// a record for each failure and for each note, as the events have them.
func TestObserveNotes(t *testing.T) {
	t.Parallel()

	o := startObserved(t, "--heal=missed", "--heal-per-minute=6000", "--canary-interval=2s")
	o.kubectl(t, "apply", "-f", "../../config/components/heal/role.yaml", "-f", "../../config/components/heal/role_binding.yaml")
	o.apply(t, strings.Replace(envInjection("proxy", "x", "PROXY", "x"), "{matchLabels: {app: x}}", "{}", 1))
	o.inForce(t)

	o.r.Kill()
	o.apply(t, deployment("web", 3))
	o.hasPods(t, "web", 3)

	k := newKubelet(t, o.auditCase)
	k.ready(t, "web", 3)
	harness.Start(t, o.r)
	k.heals(t, "web", 3)

	for reason, n := range map[string]int{"InjectionMissed": 3, "InjectionHealed": 3, "InjectionRestored": 1} {
		o.tells(t, reason, map[string]int{"Deployment/web": n})
		o.noted(t, reason, n)
	}

	o.has(t, 3)
}

// noted waits until the store has so many records of a reason, on Deployment web, with
// the severity that the reason has.
func (o *observed) noted(t *testing.T, reason string, want int) {
	t.Helper()

	severity := "INFO"
	if reason == "InjectionMissed" {
		severity = "WARN"
	}

	harness.Eventually(t, "records of "+reason, func(ctx context.Context) error {
		rows, err := o.store.Query(ctx, fmt.Sprintf(`"k8s.cluster.name":=%q "k8s.event.reason":=%q "k8s.deployment.name":=web severity_text:=%s `+
			`| uniq by ("log.record.uid")`, o.name, reason, severity))
		if err == nil && len(rows) != want {
			err = fmt.Errorf("%d, want %d", len(rows), want)
		}

		return err
	})
}
