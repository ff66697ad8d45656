package patches

import (
	"encoding/json"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// BenchmarkLimits injects an init container into the pod of a real review: in a
// namespace without rules, and in one with a quota and a LimitRange.
func BenchmarkLimits(b *testing.B) {
	review, err := os.ReadFile("../webhook/testdata/review-checkout.json")
	if err != nil {
		b.Fatal(err)
	}

	var r struct {
		Request struct {
			Object json.RawMessage `json:"object"`
		} `json:"request"`
	}
	if err := json.Unmarshal(review, &r); err != nil {
		b.Fatal(err)
	}

	o := &v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "proxy"}}
	o.Spec.Selector = &metav1.LabelSelector{}
	o.Spec.InitContainers = []corev1.Container{{Name: "trust", Image: "trust"}}
	set := (&Set{}).With(Compile(o))

	some := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("1Gi")}
	rules := Namespace{
		Name: "shop", Known: true,
		Limits: []*corev1.LimitRange{{Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypeContainer, Default: some, DefaultRequest: some}}}}},
		Quotas: []*corev1.ResourceQuota{{Status: corev1.ResourceQuotaStatus{Hard: corev1.ResourceList{
			corev1.ResourceLimitsCPU: resource.MustParse("1k"), corev1.ResourceLimitsMemory: resource.MustParse("1Ti"),
		}}}},
	}

	for name, ns := range map[string]Namespace{"None": {Name: "shop", Known: true}, "QuotaAndLimits": rules} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()

			for b.Loop() {
				pod, err := Decode(r.Request.Object)
				if err != nil {
					b.Fatal(err)
				}

				if r := New(b.Context(), pod, set.Match(pod.Traits(), ns)); len(r.Failed) > 0 {
					b.Fatal(r.Failed)
				}
			}
		})
	}
}
