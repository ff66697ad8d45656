package webhook

import "github.com/prometheus/client_golang/prometheus"

// newRequests returns the metric that counts reviews, with every outcome at 0.
func newRequests(r prometheus.Registerer) *prometheus.CounterVec {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "telltale_admission_requests_total",
		Help: "Reviews answered, dry runs included, by what became of the pod.",
	}, []string{"outcome"})
	r.MustRegister(requests)

	for _, o := range []Outcome{Untouched, Injected, Failed, Denied, Malformed} {
		requests.WithLabelValues(string(o))
	}

	return requests
}
