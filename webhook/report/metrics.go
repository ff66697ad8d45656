package report

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/telltale-dev/telltale/webhook/report/internal/event"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// collector makes metrics of the sums of the events' branch. All metrics of one
// scrape show the same moment, so they add up.
type collector struct {
	*branch

	calls func() map[event.Result]int64
}

// Describe sends what Collect may send.
func (c collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect sends the metrics.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	var s ledger.Stats
	now := time.Now()
	c.locked(func() { s = c.ledger.Stats() })

	oldest := time.Duration(0)
	if !s.Since.IsZero() {
		oldest = max(0, now.Sub(s.Since))
	}
	counters(ch, "telltale_injection_failures_total",
		"Admissions in which an Injection was not applied as declared, by reason.", "reason", s.Added)
	number(ch, prometheus.CounterValue, "telltale_report_reported_total",
		"Failures that are on an event.", float64(s.Reported))
	number(ch, prometheus.GaugeValue, "telltale_report_pending",
		"Failures that are not yet on an event.", float64(s.Pending))
	counters(ch, "telltale_report_unreported_total",
		"Failures that could not be shown on any event, by cause.", "cause", s.Unreported)
	number(ch, prometheus.GaugeValue, "telltale_report_oldest_pending_seconds",
		"How long the first of the pending failures has been pending.", oldest.Seconds())
	number(ch, prometheus.GaugeValue, "telltale_report_keys",
		"Keys (owner, reason, Injection) that are told apart now, those that owe nothing included.",
		float64(s.Keys))
	counters(ch, "telltale_report_event_writes_total",
		"Calls to the API server to write events, by result.", "result", c.calls())
}

func number(ch chan<- prometheus.Metric, kind prometheus.ValueType, name, help string, value float64) {
	ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, nil, nil), kind, value)
}

func counters[L ~string](ch chan<- prometheus.Metric, name, help, label string, values map[L]int64) {
	desc := prometheus.NewDesc(name, help, []string{label}, nil)
	for l, v := range values {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(v), string(l))
	}
}
