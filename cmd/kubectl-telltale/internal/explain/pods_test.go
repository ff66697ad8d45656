package explain

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/verdict"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// TestLook says of a pod that never had an Injection why it has none, and not that
// something is no longer there.
func TestLook(t *testing.T) {
	now := time.Now().Truncate(time.Second)

	for name, tc := range map[string]struct {
		reason      string
		annotations map[string]string
		age         time.Duration // of the pod; the Injection is an hour old
		asked       string
		want        State
	}{
		"Relabelled": {
			reason:      "Another Injection added what selects it.",
			annotations: map[string]string{v1alpha1.InjectedAnnotation: "other@00000000"}, age: 0, asked: "Yes",
			want: State{"proxy", "Relabelled", "it did not select the pod when that was created"},
		},
		"Previewed": {
			reason:      "A preview leaves a record, too.",
			annotations: map[string]string{v1alpha1.PreviewedAnnotation: "other@00000000"}, age: 0, asked: "Yes",
			want: State{"proxy", "Relabelled", "it did not select the pod when that was created"},
		},
		"Earlier": {
			reason:      "Nothing was there to be applied.",
			annotations: nil, age: 2 * time.Hour, asked: "Unknown",
			want: State{"proxy", "Earlier", "the pod is older than the Injection, or than an edit that decides"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := &v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "proxy"}}
			in.Spec.Selector = &metav1.LabelSelector{}
			in.Spec.Env = []v1alpha1.EnvVar{{Name: "A", Value: "a"}}
			in.Status.Since = &metav1.Time{Time: now.Add(-time.Hour)}

			ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", CreationTimestamp: metav1.Time{Time: now.Add(-3 * time.Hour)}}}

			c, err := verdict.New(in, ns)
			if err != nil {
				t.Fatal(err)
			}

			pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "x"}}}}
			pod.Namespace, pod.Name, pod.Annotations = "shop", "a", tc.annotations
			pod.CreationTimestamp = metav1.Time{Time: now.Add(-tc.age)}

			got, err := (&facts{Cluster: c, namespace: ns}).look(pod, nil)
			if err != nil {
				t.Fatal(err)
			}

			if got.Asked != tc.asked || len(got.States) != 1 || got.States[0] != tc.want {
				t.Errorf("%s got %+v, want %s and %+v", tc.reason, got, tc.asked, tc.want)
			}
		})
	}
}
