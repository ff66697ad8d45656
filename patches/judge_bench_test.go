package patches

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// BenchmarkJudged is what Injections cost on a pod of 0.9 MB: ordinary ones, and
// ones that the whole pod has to be judged for. One of the latter costs at most
// five times an ordinary one, and a hundred cost the pod no more than that.
func BenchmarkJudged(b *testing.B) {
	raw := largePod(b, 0.9e6)

	for _, n := range []int{1, 10, 100} {
		for name, lifecycle := range map[string]*corev1.Lifecycle{
			"Ordinary": nil,
			"Judged":   {PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}}},
			"Refused":  {PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}}},
		} {
			set := &Set{}
			for i := range n {
				c := corev1.Container{Name: fmt.Sprintf("side-%d", i), Image: "side", RestartPolicy: new(corev1.ContainerRestartPolicyAlways), Lifecycle: lifecycle}
				if name == "Refused" { // the pod has no resource claim of this name
					c.Resources.Claims = []corev1.ResourceClaim{{Name: "gpu"}}
				}

				set = set.With(benchInjection(i, c))
			}

			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) { benchNew(b, raw, set, name == "Refused") })
		}
	}
}

// BenchmarkRecreated is a pod that is created again from what the API server
// returned for it, with all that was injected: ten Injections of 16 containers.
func BenchmarkRecreated(b *testing.B) {
	for _, n := range []int{1, 10} {
		set := &Set{}
		for i := range n {
			var containers []corev1.Container
			for j := range 16 {
				containers = append(containers, corev1.Container{Name: fmt.Sprintf("init-%d-%d", i, j), Image: "init"})
			}

			set = set.With(benchInjection(i, containers...))
		}

		raw := largePod(b, 1000)
		pod, err := Decode(raw)
		if err != nil {
			b.Fatal(err)
		}

		patched := applyPatch(b, raw, New(b.Context(), pod, set.Match(pod.Labels, Namespace{Name: "shop", Known: true})).Patch)

		b.Run(fmt.Sprint(n), func(b *testing.B) { benchNew(b, patched, set, false) })
	}
}

func benchNew(b *testing.B, raw []byte, set *Set, fails bool) {
	b.Helper()
	b.ReportAllocs()

	for b.Loop() {
		pod, err := Decode(raw)
		if err != nil {
			b.Fatal(err)
		}

		if r := New(b.Context(), pod, set.Match(pod.Labels, Namespace{Name: "shop", Known: true})); len(r.Failed) > 0 != fails {
			b.Fatalf("%d failed", len(r.Failed))
		}
	}
}

func benchInjection(i int, containers ...corev1.Container) *Injection {
	return Compile(&v1alpha1.Injection{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("bench-%d", i)},
		Spec: v1alpha1.InjectionSpec{
			Selector: &metav1.LabelSelector{}, InitContainers: containers,
			Env: []v1alpha1.EnvVar{{Name: fmt.Sprintf("BENCH_%d", i), Value: "x"}}, Containers: v1alpha1.Containers{Init: true},
		},
	})
}

// largePod is a pod of some bytes, most of them in the arguments of its
// containers.
func largePod(b *testing.B, size int) []byte {
	b.Helper()

	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "checkout-", Namespace: "shop"}}
	for i := range 20 {
		c := corev1.Container{Name: fmt.Sprintf("app-%d", i), Image: "app"}
		for range size / 20 / 1000 {
			c.Args = append(c.Args, strings.Repeat("x", 1000))
		}

		pod.Spec.Containers = append(pod.Spec.Containers, c)
	}

	raw, err := json.Marshal(pod)
	if err != nil {
		b.Fatal(err)
	}

	return raw
}
