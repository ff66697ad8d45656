package pods

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// TestPreview counts the pods that an Injection would reach, and those that it would
// fail on, while pods come and go and the Injection is edited.
func TestPreview(t *testing.T) {
	t.Parallel()

	declared := proxy()
	declared.Spec.Mode = v1alpha1.Preview

	set := (&patches.Set{}).With(patches.Compile(declared))
	c := newTerm(&Audit{})

	see := func(name string, env ...corev1.EnvVar) {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name)},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "a", Env: env}}},
		}
		previews := set.Previews(patches.Traits{}, patches.Namespace{Name: "shop", Known: true})
		c.book.put(pod.UID, time.Unix(0, 0), entry{states: c.preview(t.Context(), pod, decode(t, pod), nil, previews)})
	}
	want := func(want v1alpha1.PodCounts) {
		t.Helper()

		if diff := cmp.Diff(want, c.book.tally(types.NamespacedName{Namespace: "shop", Name: "proxy"}).counts()); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}
	conflict := func(pods int32, variable string) []v1alpha1.WouldFail {
		return []v1alpha1.WouldFail{{
			Reason: "InjectionConflict", Pods: pods, Example: "shop/other",
			Text: `container "app" already sets env ` + variable + `. Remove it there, or set onConflict on the Injection.`,
		}}
	}

	see("good")
	see("other", corev1.EnvVar{Name: "A", Value: "own"})
	see("other", corev1.EnvVar{Name: "A", Value: "own"})
	see("another", corev1.EnvVar{Name: "A", Value: "own"})
	want(v1alpha1.PodCounts{Selected: 3, Failed: 2, WouldFail: conflict(2, "A")})

	see("other", corev1.EnvVar{Name: "B", Value: "own"})
	want(v1alpha1.PodCounts{Selected: 3, Failed: 2, WouldFail: conflict(2, "B")})

	c.book.remove("another")
	c.book.remove("other")
	want(v1alpha1.PodCounts{Selected: 1})
}
