package injections

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

func configMap(namespace, name, reason string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: map[string]string{"reason": reason}}
}

// TestStop calls the handlers as the informer of ConfigMaps does. All replicas do
// the same: no Injection matches while the ConfigMap is there, and each status is
// looked at once for each change.
func TestStop(t *testing.T) {
	in := New(logr.Discard())
	on := in.onStop("telltale-system")
	stop := func(reason string) { on.OnAdd(configMap("telltale-system", "telltale-stop", reason), true) }

	in.onInjection().OnAdd(injection("proxy", 1, "A"), true)

	cluster := &v1alpha1.ClusterInjection{ObjectMeta: metav1.ObjectMeta{Name: "ca"}}
	cluster.Spec.Selector = &metav1.LabelSelector{}
	in.onClusterInjection().OnAdd(cluster, true)

	var looked []string

	hear := func(namespace string) { looked = append(looked, namespace) }
	in.onChange.Store(&hear)

	all, none, everywhere := []string{"cluster/ca", "proxy"}, []string{}, []string{"", "shop"}
	steps := []struct {
		reason string
		do     func()
		want   []string
		looked []string
	}{
		{"Before the Injections are known: the stop is, and there is nothing to report.", func() { stop("") }, none, nil},
		{"Known at the start, so the first pod hears of it.", func() { in.load(t.Context()) }, none, nil},
		{"Another reason is to be told.", func() { stop("why") }, none, everywhere},
		{"Nothing new.", func() { stop("why") }, none, nil},
		{"Deleted.", func() { on.OnDelete(configMap("telltale-system", "telltale-stop", "why")) }, all, everywhere},
		{"Another namespace's stops nothing.", func() { on.OnAdd(configMap("shop", "telltale-stop", ""), false) }, all, nil},
		{"Nor does one of another name.", func() { on.OnAdd(configMap("telltale-system", "other", ""), false) }, all, nil},
		{"Made again.", func() { stop("") }, none, everywhere},
		{"Others that are deleted end nothing.", func() { on.OnDelete(configMap("shop", "telltale-stop", "")) }, none, nil},
		{
			"A missed delete comes as a tombstone.",
			func() { on.OnDelete(toolscache.DeletedFinalStateUnknown{Key: "telltale-system/telltale-stop"}) },
			all, everywhere,
		},
	}

	for _, s := range steps {
		looked = nil
		s.do()
		slices.Sort(looked)

		if diff := cmp.Diff(s.want, names(t, in)); diff != "" {
			t.Errorf("%s -want +got\n%s", s.reason, diff)
		}

		if diff := cmp.Diff(s.looked, looked); diff != "" {
			t.Errorf("%s looked at: -want +got\n%s", s.reason, diff)
		}

		if got := testutil.ToFloat64(in.Metric()); (got == 1) != (len(s.want) == 0) {
			t.Errorf("%s the metric is %v", s.reason, got)
		}
	}
}

// TestStopText quotes the reason as one line, and of limited length.
func TestStopText(t *testing.T) {
	const (
		start = "ConfigMap telltale-stop in namespace telltale-system stops all injection"
		end   = ". To end that: kubectl delete configmap telltale-stop --namespace telltale-system"
	)

	cases := map[string]struct{ reason, text, want string }{
		"None":    {"The command of the docs without a reason.", "", start + end},
		"Blank":   {"Nothing to quote.", " \n", start + end},
		"Reason":  {"As the administrator wrote it.", "incident 42", start + ` ("incident 42")` + end},
		"Lines":   {"A file ends in a line break; a terminal's colours are left out.", "one\n\x1b[31mtwo\n", start + ` ("one  [31mtwo")` + end},
		"TooLong": {"The command that ends it is what people need.", strings.Repeat("x", 300), start + ` ("` + strings.Repeat("x", 253) + `…")` + end},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			whole := configMap("telltale-system", "telltale-stop", c.text)
			whole.BinaryData = map[string][]byte{"x": make([]byte, 1<<20)}

			trimmed := trimStop(whole)
			if got := stopText(trimmed); got != c.want || trimmed.BinaryData != nil {
				t.Errorf("%s got %s", c.reason, got)
			}
		})
	}
}
