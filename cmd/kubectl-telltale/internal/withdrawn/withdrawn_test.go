package withdrawn

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/scan"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// TestRows checks which withdrawals are listed, in which order, and each cell.
func TestRows(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	until := metav1.NewTime(now.Add(8 * time.Minute))
	ago := func(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

	proxy, ca := &v1alpha1.Injection{}, &v1alpha1.ClusterInjection{}
	proxy.Namespace, proxy.Name, ca.Name = "shop", "proxy", "corp-ca"
	proxy.Status.Withdrawn = []v1alpha1.Withdrawal{
		{Namespace: "shop", Kind: "Job", Name: "once", Phase: v1alpha1.RetryPhase, Since: ago(time.Hour), Tries: 1, Revision: "5f3c9a1b", Text: "quota"},
		{Namespace: "shop", Kind: "ReplicaSet", Name: "web-1", Phase: v1alpha1.WithdrawnPhase, Since: ago(2 * time.Minute), Until: &until, Tries: 1, Revision: "5f3c9a1b", Text: "no image for wait"},
	}
	ca.Status.Withdrawn = []v1alpha1.Withdrawal{
		{Namespace: "bank", Kind: "ReplicaSet", Name: "api-1", Phase: v1alpha1.TrialPhase, Since: ago(time.Second), Revision: "77d0e2c4", Text: "denied"},
		{Phase: v1alpha1.WithdrawnPhase, Since: ago(time.Minute), Until: &until, Tries: 3, Revision: "77d0e2c4", Reason: v1alpha1.StuckReason, Text: "init container \"ca\""},
	}
	all := []scan.Injection{scan.InjectionOf(proxy), scan.InjectionOf(ca)}

	want := [][]string{
		{"*", "*", "clusterinjection/corp-ca", "Withdrawn", "60s ago", "in 8m", "3", "InjectionStuck", "77d0e2c4", "init container \"ca\""},
		{"shop", "replicaset/web-1", "injection/proxy", "Withdrawn", "2m ago", "in 8m", "1", "InjectionRefused", "5f3c9a1b", "no image for wait"},
		{"bank", "replicaset/api-1", "clusterinjection/corp-ca", "Trial", "1s ago", "-", "0", "InjectionRefused", "77d0e2c4", "denied"},
		{"shop", "job/once", "injection/proxy", "Retry", "60m ago", "-", "1", "InjectionRefused", "5f3c9a1b", "quota"},
	}
	if diff := cmp.Diff(want, cells(rowsOf(all, ""), true, now)); diff != "" {
		t.Errorf("all namespaces (-want +got):\n%s", diff)
	}

	inShop := append(append([][]string{}, want[:2]...), want[3])
	if diff := cmp.Diff(inShop, cells(rowsOf(all, "shop"), true, now)); diff != "" {
		t.Errorf("one namespace has what is withdrawn from all (-want +got):\n%s", diff)
	}

	if h := header(true); len(h) != len(want[0]) {
		t.Errorf("%d headers for %d cells", len(h), len(want[0]))
	}
}
