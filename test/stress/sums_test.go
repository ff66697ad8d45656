//go:build apiserver && observe

package stress

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/test/backends"
	"github.com/telltale-dev/telltale/test/harness"
)

// TestSums has 10,000 pods of 50 Deployments fail, at three replicas. Prometheus, the log
// store and the events have the same sum.
func TestSums(t *testing.T) {
	s, store := startSums(t, "the sums of Prometheus, VictoriaLogs and the events are equal")
	addresses := make([]string, 0, len(s.replicas))
	for _, r := range s.replicas {
		addresses = append(addresses, r.Metrics)
	}
	p := backends.StartPrometheus(t, backends.Scrape{
		Clusters: map[string][]string{"stress": addresses}, Rules: "../../config/prometheus/rule.yaml",
	})
	s.storms50(t)
	for _, expr := range []string{
		fmt.Sprintf("sum(telltale_injection_failures_total{namespace=%q})", s.namespaces[0]),
		`sum(telltale_report_reported_total{sink="event"})`,
		`sum(telltale_report_reported_total{sink="otlp"})`,
	} {
		harness.Eventually(t, expr, func(ctx context.Context) error {
			series, err := p.Query(ctx, expr)
			if err != nil || len(series) != 1 {
				return errors.Join(fmt.Errorf("%d series", len(series)), err)
			}

			return want(expr, fmt.Sprint(series[0].Value[1]), strconv.FormatInt(s.failures, 10))
		})
	}
	harness.Eventually(t, "the store", func(ctx context.Context) error {
		n, err := store.Failures(ctx, "stress")

		return errors.Join(err, want("failures in the store", n, s.failures))
	})
	s.note("Prometheus and VictoriaLogs have %d each", s.failures)
}

// startSums starts three replicas that send records to a store.
func startSums(t *testing.T, must string) (*scenario, *backends.Store) {
	t.Helper()
	store := backends.StartStore(t)
	t.Setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", store.Endpoint())

	return start(t, shared, "10,000 failures on 50 Deployments, 3 replicas", must, 3, 1, "--cluster-name=stress"), store
}

// storms50 has the pods fail, and waits until the events have all of them.
func (s *scenario) storms50(t *testing.T) {
	t.Helper()
	s.launch(10_000, 2000, each(s.deployments(t, s.namespaces[0], 50))).wait()
	s.note("drained in %.0f s", s.drain(harness.Patience).Seconds())
	s.exact()
}

// TestExporters runs the exporters of events that people have beside the storm of
// TestSums. It only measures what they show, but for one thing: the highest count that
// they have of each event adds up to the failures, as Telltale's counts are exact. Then it
// has an owner fail while they are away.
func TestExporters(t *testing.T) {
	s, store := startSums(t, "nothing of the exporters: they are there to compare")
	all := backends.StartExporters(t, s.KubeconfigPath, s.namespaces[0])
	s.seen(t, all)
	s.storms50(t)
	for _, e := range all {
		harness.Eventually(t, e.Receiver, func(ctx context.Context) error {
			shown, err := e.Shown(ctx, "Injection")

			return errors.Join(err, want("the sum of the highest counts", shown.Latest, s.failures))
		})
		shown, err := e.Shown(t.Context(), "Injection")
		if err != nil {
			t.Fatal(err)
		}
		s.note("%s: %d records, whose counts add up to %d", e.Receiver, shown.Records, shown.Added)
		e.Kill()
	}
	before := s.failures
	late, err := s.replicaSet(t.Context(), s.namespaces[0], "late", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.launch(100, 0, each([]owner{late})).wait()
	s.drain(harness.Patience)
	s.exact()
	s.seenAgain(t, all)
	for _, e := range all {
		shown, err := e.Shown(t.Context(), "Injection")
		if err != nil {
			t.Fatal(err)
		}
		s.note("%s shows %d of %d that happened while it was away", e.Receiver, shown.Latest-before, s.failures-before)
	}
	harness.Eventually(t, "the store", func(ctx context.Context) error {
		n, err := store.Failures(ctx, "stress")

		return errors.Join(err, want("failures in the store", n, s.failures))
	})
}

// seenAgain starts exporters again, and waits until they see events.
func (s *scenario) seenAgain(t *testing.T, all []*backends.Exporter) {
	t.Helper()
	for _, e := range all {
		e.Start(t)
	}
	s.seen(t, all)
}

// seen makes events of another program until all exporters have shown a new one.
func (s *scenario) seen(t *testing.T, all []*backends.Exporter) {
	t.Helper()
	reason := "Probe" + strconv.Itoa(len(s.storms))
	harness.Eventually(t, "the exporters see events", func(ctx context.Context) error {
		now := metav1.Now()
		if _, err := s.api.CoreV1().Events(s.namespaces[0]).Create(ctx, &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{GenerateName: "probe-"},
			InvolvedObject: corev1.ObjectReference{Kind: "Namespace", Namespace: s.namespaces[0], Name: s.namespaces[0]},
			Reason:         reason, Type: corev1.EventTypeNormal, LastTimestamp: now, FirstTimestamp: now, Count: 1,
		}, metav1.CreateOptions{}); err != nil {
			return err
		}
		for _, e := range all {
			shown, err := e.Shown(ctx, reason)
			if err != nil || shown.Records == 0 {
				return errors.Join(fmt.Errorf("%s has not", e.Receiver), err)
			}
		}

		return nil
	})
}
