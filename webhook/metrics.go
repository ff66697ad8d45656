package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of reviews. The counters are looked up once, not for each review.
type metrics struct {
	requests map[Outcome]prometheus.Counter
	applied  prometheus.Counter
	duration prometheus.Histogram
}

// newMetrics returns the metrics, with every outcome at 0.
func newMetrics(r prometheus.Registerer) metrics {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "telltale_admission_requests_total",
		Help: "Reviews answered, dry runs included, by what became of the pod.",
	}, []string{"outcome"})
	m := metrics{
		requests: map[Outcome]prometheus.Counter{},
		applied: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "telltale_injections_applied_total",
			Help: "Injections that pods have got, once for each pod and Injection, without dry runs.",
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "telltale_admission_duration_seconds",
			Help: "How long reviews took, dry runs included, from their headers to the answer; malformed ones are left out.",
			// Classic buckets for any Prometheus, and native ones for those that ask for them.
			Buckets:                        []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
			NativeHistogramBucketFactor:    1.1,
			NativeHistogramMaxBucketNumber: 100,
		}),
	}
	r.MustRegister(requests, m.applied, m.duration)

	for _, o := range []Outcome{Untouched, Injected, Failed, Denied, Malformed} {
		m.requests[o] = requests.WithLabelValues(string(o))
	}

	return m
}

// answered counts a review that came at the given time.
func (m metrics) answered(o Outcome, came time.Time) {
	m.requests[o].Inc()

	if o != Malformed {
		m.duration.Observe(time.Since(came).Seconds())
	}
}
