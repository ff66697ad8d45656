package report

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// otherNamespace is the label of failures whose namespace has none of its own.
const otherNamespace = "other"

// place is what the metric of failures tells apart.
type place struct {
	namespace string
	reason    failure.Reason
}

// tally counts failures by namespace and reason. Namespaces that exist get a label
// of their own until there are enough of them. The others share one, so strangers
// that invent namespaces make no series (TestTallyIsBounded). It is not safe for
// concurrent use.
type tally struct {
	max     int
	exists  func(namespace string) bool
	labels  map[string]bool
	counts  map[place]int64
	reasons map[failure.Reason]bool
}

func newTally(o Options) *tally {
	t := &tally{
		max: o.MaxNamespaces, exists: o.Exists, labels: map[string]bool{}, counts: map[place]int64{}, reasons: map[failure.Reason]bool{},
	}
	for _, r := range failure.Reasons() {
		t.reasons[r], t.counts[place{otherNamespace, r}] = true, 0
	}

	return t
}

// add counts a failure. If the namespace and the reason are known, it changes one map
// entry.
func (t *tally) add(namespace string, r failure.Reason) {
	if !t.reasons[r] {
		r = failure.Error // as the ledger has it
	}
	if !t.labels[namespace] {
		namespace = t.label(namespace)
	}
	t.counts[place{namespace, r}]++
}

// label returns the label of a namespace that has had none so far.
func (t *tally) label(namespace string) string {
	if namespace == "" || len(t.labels) >= t.max || !t.exists(namespace) {
		return otherNamespace
	}
	t.labels[namespace] = true

	return namespace
}

// collect sends the counts.
func (t *tally) collect(ch chan<- prometheus.Metric) {
	desc := prometheus.NewDesc("telltale_injection_failures_total",
		"Admissions in which an Injection was not applied as declared, by the pod's namespace and the reason.", []string{"namespace", "reason"}, nil)
	for p, n := range t.counts {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), p.namespace, string(p.reason))
	}
}
