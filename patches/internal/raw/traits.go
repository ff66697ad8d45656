package raw

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Traits are all of a pod that an Injection can choose it by. The zero Traits are
// those of a pod without anything.
type Traits struct {
	Labels, Annotations map[string]string
	// Controller is the owner reference with controller: true, or nil.
	Controller *metav1.OwnerReference
	// Containers are asked for their images if an Injection chooses by them. Nil: the
	// pod has none.
	Containers Imager
}

// Imager knows the images of the app containers of a pod, as the pod states them.
type Imager interface{ Images() []string }

// Traits are what Injections choose the pod by.
func (p *Pod) Traits() Traits {
	return Traits{Labels: p.Labels, Annotations: p.Annotations, Controller: p.Controller, Containers: p}
}

// Images are those of the app containers.
func (p *Pod) Images() []string {
	images := make([]string, len(p.Spec.Containers))
	for i := range images {
		images[i] = p.Spec.Containers[i].Image
	}

	return images
}
