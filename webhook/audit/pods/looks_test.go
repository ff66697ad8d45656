package pods

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestLooks changes a pod in each way that there is.
func TestLooks(t *testing.T) {
	const same, other = true, false

	for name, c := range map[string]struct {
		reason string
		change func(*corev1.Pod)
		want   bool
	}{
		"Nothing":   {"A hash that changes by itself saves nothing.", func(*corev1.Pod) {}, same},
		"Status":    {"Kubelets write it many times for each pod.", func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning }, same},
		"Managed":   {"They come with each write of a status.", func(p *corev1.Pod) { p.ManagedFields = make([]metav1.ManagedFieldsEntry, 1) }, same},
		"Version":   {"It changes with each write.", func(p *corev1.Pod) { p.ResourceVersion = "2" }, same},
		"Label":     {"Labels select.", func(p *corev1.Pod) { p.Labels["c"] = "d" }, other},
		"LabelGone": {"Labels select.", func(p *corev1.Pod) { delete(p.Labels, "a") }, other},
		"Record":    {"Annotations have it.", func(p *corev1.Pod) { p.Annotations = map[string]string{"a": "1"} }, other},
		"Spec":      {"The image of a container can be changed, and the API server counts that.", func(p *corev1.Pod) { p.Generation++ }, other},
		"Owner":     {"An event is on the owner.", func(p *corev1.Pod) { p.OwnerReferences = make([]metav1.OwnerReference, 1) }, other},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "a"}}}}
			pod.Labels, pod.Generation = map[string]string{"a": "1", "b": "2", "x": "3"}, 1

			changed := pod.DeepCopy()
			c.change(changed)

			if got := looksOf(pod) == looksOf(changed); got != c.want {
				t.Errorf("the same: %v, want %v: %s", got, c.want, c.reason)
			}
		})
	}
}

// TestLooksUncounted holds that a spec whose edits the API server does not count is read.
func TestLooksUncounted(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "a"}}}}

	changed := pod.DeepCopy()
	changed.Spec.Containers[0].Image = "b"

	if looksOf(pod) == looksOf(changed) {
		t.Error("another image looks the same")
	}
}
