package patches

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// judgedInjection is one that the whole pod is judged for. A bad one refers to a
// resource claim that no pod has.
func judgedInjection(i int, bad bool) *Injection {
	o := &v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("in-%02d", i)}}
	o.Spec.Selector = &metav1.LabelSelector{}
	o.Spec.InitContainers = []corev1.Container{{
		Name: fmt.Sprintf("side-%02d", i), Image: "side", RestartPolicy: new(corev1.ContainerRestartPolicyAlways),
		Lifecycle: &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}}},
	}}

	if bad {
		o.Spec.InitContainers[0].Resources.Claims = []corev1.ResourceClaim{{Name: "gpu"}}
	}

	return Compile(o)
}

func judgedPod(t *testing.T) *Pod {
	t.Helper()

	pod, err := Decode([]byte(`{"metadata":{"generateName":"a-"},"spec":{"containers":[{"name":"app","image":"a"}]}}`))
	if err != nil {
		t.Fatal(err)
	}

	return pod
}

func matchesOf(injections []*Injection) []Match {
	matches := make([]Match, len(injections))
	for i, in := range injections {
		matches[i] = Match{Injection: in, namespace: Namespace{Name: "shop", Known: true}}
	}

	return matches
}

// TestBlame puts bad Injections at random among good ones: each bad one fails,
// each good one is applied, and the patch is that of the good ones alone.
func TestBlame(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		var all, good []*Injection

		odds := 1 + random.IntN(8)
		for i := range 1 + random.IntN(24) {
			bad := random.IntN(odds) == 0

			all = append(all, judgedInjection(i, bad))
			if !bad {
				good = append(good, all[i])
			}
		}

		r := New(t.Context(), judgedPod(t), matchesOf(all))
		if diff := cmp.Diff(injectedRecord(good), injectedRecord(r.Injected)); diff != "" {
			t.Fatalf("-want +got\n%s\n%v", diff, r.Failed)
		}

		if len(r.Failed) != len(all)-len(good) || slices.ContainsFunc(r.Failed, func(f Failure) bool { return f.Reason != Unsafe }) {
			t.Fatalf("%d Injections, %d of them good, and these failed: %v", len(all), len(good), r.Failed)
		}

		alone := New(t.Context(), judgedPod(t), matchesOf(good))
		raw := judgedPod(t).JSON

		if diff := cmp.Diff(bare(t, patchedBy(t, raw, alone.Patch)), bare(t, patchedBy(t, raw, r.Patch))); diff != "" {
			t.Fatalf("the bad ones left something: -want +got\n%s", diff)
		}
	}
}

// ending is a context that ends when it is asked for the last of some times.
type ending struct {
	context.Context

	asked, after int
}

func (c *ending) Err() error {
	c.asked++
	if c.asked > c.after {
		return context.DeadlineExceeded
	}

	return nil
}

// TestTimeOut ends the context at each moment: the Injections that were decided
// on by then keep their outcome, and the rest fail as InjectionTimeout.
func TestTimeOut(t *testing.T) {
	var all []*Injection
	for i := range 8 {
		all = append(all, judgedInjection(i, i == 2 || i == 5))
	}

	reasons := func(r Result) map[string]Reason {
		m := map[string]Reason{}
		for _, f := range r.Failed {
			m[f.Injection.Name] = f.Reason
		}

		return m
	}

	want := reasons(New(t.Context(), judgedPod(t), matchesOf(all)))
	timeouts := 0

	for after := range 40 {
		r := New(&ending{Context: t.Context(), after: after}, judgedPod(t), matchesOf(all))
		if n := len(r.Injected) + len(r.Failed); n != len(all) {
			t.Fatalf("after %d: %d of %d Injections are accounted for", after, n, len(all))
		}

		late := false

		for _, in := range all {
			switch got := reasons(r)[in.Name]; {
			case got == Timeout:
				late = true
				timeouts++
			case late:
				t.Errorf("after %d: %s was decided on after one for which there was no time", after, in)
			case got != want[in.Name]:
				t.Errorf("after %d: %s has %q, want %q", after, in, got, want[in.Name])
			}
		}
	}

	if timeouts < 20 || len(want) != 2 {
		t.Errorf("%d time-outs; without, %v", timeouts, want)
	}
}
