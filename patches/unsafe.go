package patches

import (
	"fmt"
	"slices"
)

// maxAnnotations is how many bytes the keys and values of a pod's annotations
// may have together.
//
// Source: TotalAnnotationSizeLimitB, k8s.io/apimachinery v0.37.2
// pkg/api/validation/objectmeta.go.
const maxAnnotations = 256 << 10

// unsafe says what would make the API server refuse the patched pod, in a
// sentence, or nothing.
func (e *edits) unsafe(p *plan) string {
	for _, name := range slices.Concat(p.in.mountedVolumes, p.in.initVolumes) {
		if !e.hasVolume(p.in, name) {
			return fmt.Sprintf("it mounts volume %q, which neither it nor the pod has. Add the volume to spec.volumes.", name)
		}
	}

	annotations, size := e.annotationBytes(), e.podBytes()+p.bytes()
	for _, c := range p.changes {
		switch {
		case c.list.kind == initContainerKind && !c.swap && e.isTaken(c.item.key):
			return fmt.Sprintf("the pod has a container %q, so no init container can have that name. Rename it.", c.item.key)
		case c.list.kind == labelKind && c.swap && e.pod.Controller != nil:
			return fmt.Sprintf("label %s can't be overridden: the pod's controller may know its pods by it, and would create "+
				"pods for ever. Leave the label out.", c.item.key)
		case c.list.kind == annotationKind:
			annotations += len(c.item.key) + len(c.item.json)
		}
	}

	if annotations > maxAnnotations {
		return fmt.Sprintf("the pod's annotations would exceed %d bytes. Make them smaller.", maxAnnotations)
	}

	if size > maxPod && len(p.changes) > 0 {
		return fmt.Sprintf("the pod would exceed %d bytes, and the API server could not store it. Make it smaller.", maxPod)
	}

	if _, isMirror := e.pod.Annotations[mirrorAnnotation]; isMirror && p.in.secrets && len(p.changes) > 0 {
		return "the pod is a static one, which may not refer to Secrets or tokens. Narrow the selector."
	}

	if e.isOdd(p) {
		return e.refused(p)
	}

	return ""
}

func (e *edits) hasVolume(in *Injection, name string) bool {
	if _, ok := e.volumes.find(name); ok {
		return true
	}

	return slices.ContainsFunc(in.volumes, func(it item) bool { return it.key == name })
}

// isTaken tells whether a container that is no init container has a name.
func (e *edits) isTaken(name string) bool {
	return slices.ContainsFunc(e.pod.spec.Containers, func(c container) bool { return c.Name == name }) ||
		slices.ContainsFunc(e.pod.spec.EphemeralContainers, func(c named) bool { return c.Name == name })
}

// podBytes is no less than the size of the pod as planned so far.
func (e *edits) podBytes() int { return len(e.pod.raw) + e.added }

// annotationBytes is no less than the size of the pod's annotations as planned
// so far.
func (e *edits) annotationBytes() int {
	n := 0
	for k, v := range e.pod.Annotations {
		n += len(k) + len(v)
	}

	for _, a := range slices.Concat(e.annotations.first, e.annotations.last) {
		n += len(a.key) + len(a.json)
	}

	for _, a := range e.annotations.swapped {
		n += len(a.key) + len(a.json)
	}

	return n
}
