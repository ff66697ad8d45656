package patches

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// TestIndexMissesNothing compares what the index finds with what comparing the
// pod with every single Injection does, for random selectors of every form.
func TestIndexMissesNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	found := 0

	for range 2000 {
		set, all := &Set{}, []*Injection{}
		for i := range random.IntN(8) {
			o := &v1alpha1.ClusterInjection{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(i)}}
			o.Spec.Selector = randomSelector(random)
			o.Spec.NamespaceSelector = randomSelector(random)
			in := CompileCluster(o)
			set, all = set.With(in), append(all, in)
		}

		pod := &Pod{Labels: randomLabels(random)}
		ns := Namespace{Name: "shop", Known: random.IntN(4) > 0}

		if ns.Known {
			ns.Labels = randomLabels(random)
		}

		var want []Match
		for _, in := range all {
			want = in.match(want, new(pod.Traits()), ns)
		}

		if diff := cmp.Diff(names(want), names(set.Match(pod.Traits(), ns))); diff != "" {
			t.Fatalf("pod %v, namespace %v: -want +got\n%s", pod.Labels, ns, diff)
		}

		found += len(want)
	}

	if found < 1000 {
		t.Errorf("only %d matches", found)
	}
}

func randomLabels(random *rand.Rand) map[string]string {
	labels := map[string]string{}
	for range random.IntN(3) {
		labels[randomWord(random, "app", "tier")] = randomWord(random, "a", "b", "c")
	}

	return labels
}

func randomSelector(random *rand.Rand) *metav1.LabelSelector {
	s := &metav1.LabelSelector{}
	if random.IntN(2) == 0 {
		s.MatchLabels = randomLabels(random)
	}

	for range random.IntN(3) {
		e := metav1.LabelSelectorRequirement{
			Key:      randomWord(random, "app", "tier"),
			Operator: metav1.LabelSelectorOperator(randomWord(random, "In", "In", "NotIn", "Exists", "DoesNotExist")),
		}
		if slices.Contains([]string{"In", "NotIn"}, string(e.Operator)) {
			for range 1 + random.IntN(3) {
				e.Values = append(e.Values, randomWord(random, "a", "b", "c"))
			}
		}

		s.MatchExpressions = append(s.MatchExpressions, e)
	}

	return s
}

func randomWord(random *rand.Rand, words ...string) string { return words[random.IntN(len(words))] }
