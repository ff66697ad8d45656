package pods

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of the leader. Other replicas have none of them.
type metrics struct {
	pods    [states]atomic.Int64
	pass    atomic.Int64 // of the first pass, in nanoseconds
	newest  atomic.Int64 // in Unix nanoseconds; 0: no view
	started atomic.Bool
	counted atomic.Bool // pods are
}

func newMetrics() *metrics { return &metrics{} }

// Enabled is the metric that says whether there is an audit. Every replica has it.
func Enabled(is bool) prometheus.Collector {
	value := 0.0
	if is {
		value = 1
	}

	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "telltale_audit_enabled",
		Help: "1 if the leader looks at the pods that exist, or 0 with --audit=false.",
	}, func() float64 { return value })
}

func (m *metrics) heard(at time.Time) { m.newest.Store(at.UnixNano()) }

func (m *metrics) firstPass(took time.Duration) {
	m.pass.Store(int64(took))
	m.started.Store(true)
}

func (m *metrics) reset() {
	m.started.Store(false)
	m.counted.Store(false)
}

// Describe sends nothing: other replicas than the leader have no metrics.
func (*metrics) Describe(chan<- *prometheus.Desc) {}

// Collect sends the metrics.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	if !m.started.Load() {
		return
	}

	gauge := func(name, help string, value float64, labels prometheus.Labels) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, nil, labels), prometheus.GaugeValue, value)
	}

	for s, name := range [states]string{"earlier", "injected", "outdated", "failed", "missed", "lost", "stuck", "unsure", "relabelled", "previewed", "unfit"} {
		if !m.counted.Load() {
			break
		}

		gauge("telltale_audit_pods", "Pods that an Injection selects, by the state of the Injection on them.",
			float64(m.pods[s].Load()), prometheus.Labels{"state": name})
	}

	gauge("telltale_audit_view_age_seconds", "How long ago the leader last heard of pods.", time.Since(time.Unix(0, m.newest.Load())).Seconds(), nil)
	gauge("telltale_audit_first_pass_seconds", "How long the leader's first look at all pods took.", time.Duration(m.pass.Load()).Seconds(), nil)
}

// show hands on the counts that have changed: each at once, but not again before
// showPeriod. Before all pods were looked at, those of the last leader are better.
func (t *term) show(now time.Time) {
	if !t.isWhole {
		return
	}

	var sum [states]int64

	for name, one := range t.book.tallies {
		for s, n := range one.pods {
			sum[s] += int64(n)
		}

		if !one.shown && !now.Before(one.next) {
			t.counter.CountPods(name, one.counts())
			one.shown, one.next = true, now.Add(showPeriod)
		}

		if one.shown && one.pods == [states]int32{} {
			delete(t.book.tallies, name)
		}
	}

	for s, n := range sum {
		t.metrics.pods[s].Store(n)
	}

	t.metrics.counted.Store(true)
}
