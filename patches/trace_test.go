package patches

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestTrace compares the trace of a pod in its review with that of the pod that
// becomes of it, and with those of its siblings.
func TestTrace(t *testing.T) {
	at := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	managed := func(at time.Time, manager, subresource string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Subresource: subresource, Time: &metav1.Time{Time: at}}
	}
	asked := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName:    "web-5d7f-",
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web-5d7f", UID: "1", Controller: new(true)}},
			ManagedFields:   []metav1.ManagedFieldsEntry{managed(at, "kube-controller-manager", "")},
		},
		Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: "data"}, {Name: tokenPrefix + "x2x9k"}}},
	}

	for name, c := range map[string]struct {
		reason string
		change func(*corev1.Pod)
		same   bool
	}{
		"Created": {
			"It has a name, a uid and a node now, and other webhooks have changed it.",
			func(p *corev1.Pod) {
				p.Namespace, p.Name, p.UID, p.Spec.NodeName = "shop", "web-5d7f-abcde", "2", "node"
				p.CreationTimestamp = metav1.NewTime(at.Add(5 * time.Second))
				p.Spec.Volumes = append([]corev1.Volume{{Name: "mesh"}}, p.Spec.Volumes...)
				p.ManagedFields = append(p.ManagedFields, managed(at.Add(6*time.Second), "kubelet", "status"), managed(at.Add(-time.Second), "kubelet", "status"))
			}, true,
		},
		"Labelled": {"Someone has labelled it since.", func(p *corev1.Pod) {
			p.ManagedFields = append(p.ManagedFields, managed(at.Add(time.Minute), "kubectl", ""))
		}, true},
		"Sibling":     {"Another pod of the controller has another token.", func(p *corev1.Pod) { p.Spec.Volumes[1].Name = tokenPrefix + "aaaaa" }, false},
		"Later":       {"A pod of a later second.", func(p *corev1.Pod) { p.ManagedFields[0] = managed(at.Add(time.Second), "kube-controller-manager", "") }, false},
		"Other":       {"Another controller.", func(p *corev1.Pod) { p.OwnerReferences[0].UID = "3" }, false},
		"StatefulSet": {"A pod with a name.", func(p *corev1.Pod) { p.GenerateName, p.Name = "", "web-0" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			pod := asked.DeepCopy()
			c.change(pod)

			if same := Trace(pod, "shop") == Trace(&asked, "shop"); same != c.same {
				t.Errorf("the same trace: %v: %s", same, c.reason)
			}
		})
	}

	if Trace(&asked, "shop") == Trace(&asked, "other") {
		t.Error("pods of two namespaces have the same trace")
	}
}
