package canary

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of the leader. Other replicas have none.
type metrics struct {
	result atomic.Pointer[Result] // nil: this replica does not lead, or has not asked yet
}

func (m *metrics) set(r Result) { m.result.Store(&r) }

func (m *metrics) reset() { m.result.Store(nil) }

// Describe sends nothing: other replicas than the leader have no metrics.
func (*metrics) Describe(chan<- *prometheus.Desc) {}

// Collect sends 1 for the result of now, and 0 for the others.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	now := m.result.Load()
	if now == nil {
		return
	}

	for _, r := range Results() {
		value := 0.0
		if r == *now {
			value = 1
		}

		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("telltale_canary",
			"1 for what the canary has found last, and 0 for the others.", nil, prometheus.Labels{"result": string(r)}), prometheus.GaugeValue, value)
	}
}
