package patches

import (
	"encoding/json"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/internal/apiserver"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// script chooses, byte by byte.
type script []byte

func (s *script) of(n int) int {
	if len(*s) == 0 {
		return 0
	}

	b := (*s)[0]
	*s = (*s)[1:]

	return int(b) % n
}

// list has some amounts of CPU and memory.
func (s *script) list() corev1.ResourceList {
	l := corev1.ResourceList{}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if n := s.of(5); n > 0 {
			l[name] = *resource.NewQuantity(int64(n), resource.DecimalSI)
		}
	}

	return l
}

func (s *script) resources() corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Requests: s.list(), Limits: s.list()}
}

func (s *script) rules() (ns Namespace) {
	ns = Namespace{Name: "shop", Known: true}

	for i := range s.of(3) {
		l := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("l", i)}}
		l.Spec.Limits = []corev1.LimitRangeItem{{
			Type: []corev1.LimitType{corev1.LimitTypeContainer, corev1.LimitTypePod}[s.of(2)],
			Max:  s.list(), Min: s.list(), MaxLimitRequestRatio: s.list(),
		}}

		if l.Spec.Limits[0].Type == corev1.LimitTypeContainer {
			l.Spec.Limits[0].Default, l.Spec.Limits[0].DefaultRequest = s.list(), s.list()
		}

		ns.Limits = append(ns.Limits, l)
	}

	for i := range s.of(3) {
		q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("q", i)}, Status: corev1.ResourceQuotaStatus{Hard: corev1.ResourceList{}}}
		for _, name := range []corev1.ResourceName{corev1.ResourceLimitsCPU, corev1.ResourceRequestsMemory, corev1.ResourceCPU, corev1.ResourcePods} {
			if s.of(2) == 1 {
				q.Status.Hard[name] = resource.MustParse("1k")
			}
		}

		if scope := []corev1.ResourceQuotaScope{"", corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort}[s.of(3)]; scope != "" {
			q.Spec.Scopes = []corev1.ResourceQuotaScope{scope}
		}

		ns.Quotas = append(ns.Quotas, q)
	}

	return ns
}

// FuzzLimits has random rules judge random pods with random Injections: no rule
// refuses the answered pod that does not refuse the pod as it came, and no
// Injection is called forbidden that no rule refuses.
func FuzzLimits(f *testing.F) {
	for i := range byte(32) {
		b := make([]byte, 64)
		for j := range b {
			b[j] = byte(j)*i ^ i
		}

		f.Add(b)
	}

	f.Fuzz(func(t *testing.T, b []byte) {
		s := script(b)
		ns := s.rules()

		var injections []*Injection

		for i := range 1 + s.of(3) {
			in := v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprint("in", i)}}
			in.Spec.Selector = &metav1.LabelSelector{}
			in.Spec.InitContainers = []corev1.Container{{Name: fmt.Sprint("c", i), Image: "i", Resources: s.resources()}}
			injections = append(injections, Compile(&in))
		}

		raw, err := json.Marshal(corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "shop"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "i", Resources: s.resources()}}},
		})
		if err != nil {
			t.Fatal(err)
		}

		pod, err := Decode(raw)
		if err != nil {
			t.Fatal(err)
		}

		matches := matchesOf(injections)
		for i := range matches {
			matches[i].namespace = ns
		}

		r := New(t.Context(), pod, matches)
		before, after := limitsOf(t, raw, ns), limitsOf(t, applyPatch(t, raw, r.Patch), ns)

		if len(r.Injected) > 0 && before.None() && !after.None() {
			t.Errorf("%s: %v", after.Blamed(before), injectedRecord(r.Injected))
		}

		for _, failed := range r.Failed {
			if failed.Reason != Forbidden {
				continue
			}

			with := limitsOf(t, applyPatch(t, raw, New(t.Context(), pod, matchesOf(append(r.Injected, failed.Injection))).Patch), ns)
			if with.None() {
				t.Errorf("%s is forbidden, and nothing refuses it: %s", failed.Injection, failed.Text)
			}
		}
	})
}

func limitsOf(t *testing.T, raw []byte, ns Namespace) apiserver.Limited {
	t.Helper()

	var pod corev1.Pod
	decode(t, raw, &pod, false)
	apiserver.SetDefaults(&pod)

	return rulesOf(ns).Limit(&pod)
}
