package report

import (
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/telltale-dev/telltale/webhook/report/internal/event"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// collector makes metrics of the sums of all branches. All metrics of one scrape
// show the same moment, so they add up for each sink.
type collector struct {
	*Reporter

	calls func() map[event.Result]int64
}

// Describe sends what Collect may send.
func (c collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect sends the metrics.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	stats := map[string]ledger.Stats{}
	now := time.Now()
	failures := c.sums(stats)

	failures.collect(ch)
	counters(ch, "telltale_report_event_writes_total",
		"Calls to the API server to write events, by result.", "result", c.calls())
	for sink, s := range stats {
		collect(ch, sink, s, now)
	}
}

// sums returns the sums of all branches by their names, and the failures, all of one
// moment.
func (c collector) sums(stats map[string]ledger.Stats) tally {
	c.lock()
	defer c.unlock()
	for _, b := range c.branches {
		stats[b.name] = b.ledger.Stats()
	}

	return tally{counts: maps.Clone(c.tally.counts)}
}

// newDelays returns the metric of how long failures take to be shown.
func newDelays() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "telltale_report_delay_seconds",
		Help: "For each write that a sink took: the time from the first failure in it until then.",
		// Classic buckets for any Prometheus, and native ones for those that ask for them.
		Buckets:                        []float64{0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600},
		NativeHistogramBucketFactor:    1.1,
		NativeHistogramMaxBucketNumber: 100,
	}, []string{"sink"})
}

// collect sends the metrics of one sink.
func collect(ch chan<- prometheus.Metric, sink string, s ledger.Stats, now time.Time) {
	oldest := time.Duration(0)
	if !s.Since.IsZero() {
		oldest = max(0, now.Sub(s.Since))
	}
	number := func(kind prometheus.ValueType, name, help string, value float64) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, []string{"sink"}, nil), kind, value, sink)
	}
	number(prometheus.CounterValue, "telltale_report_reported_total",
		"Failures that the sink holds: on an event, or in log records that the backend took.", float64(s.Reported))
	number(prometheus.GaugeValue, "telltale_report_pending",
		"Failures that the sink does not hold yet.", float64(s.Pending))
	number(prometheus.GaugeValue, "telltale_report_oldest_pending_seconds",
		"How long the first of the pending failures has been pending.", oldest.Seconds())
	number(prometheus.GaugeValue, "telltale_report_keys",
		"Keys (owner, reason, Injection) that are told apart now, those that owe nothing included.", float64(s.Keys))
	unreported := prometheus.NewDesc("telltale_report_unreported_total",
		"Failures that the sink can never hold, by cause.", []string{"sink", "cause"}, nil)
	for cause, n := range s.Unreported {
		ch <- prometheus.MustNewConstMetric(unreported, prometheus.CounterValue, float64(n), sink, string(cause))
	}
}

func counters[L ~string](ch chan<- prometheus.Metric, name, help, label string, values map[L]int64) {
	desc := prometheus.NewDesc(name, help, []string{label}, nil)
	for l, v := range values {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(v), string(l))
	}
}
