package patches

import (
	"fmt"
	"slices"

	"github.com/telltale-dev/telltale/patches/internal/edit"
	"github.com/telltale-dev/telltale/patches/internal/raw"
)

// maxAnnotations is the number of bytes that the keys and values of a pod's
// annotations may have together.
//
// Source: TotalAnnotationSizeLimitB, k8s.io/apimachinery v0.37.2
// pkg/api/validation/objectmeta.go.
const maxAnnotations = 256 << 10

// maxPod is the size of the largest pod, in bytes of JSON. etcd takes no request
// of more than 1.5 MiB; the rest is for additions of the API server. It stores
// less than JSON has, so this errs on the safe side.
//
// Source: DefaultMaxRequestBytes, go.etcd.io/etcd/server/v3 embed/config.go.
const maxPod = 1536<<10 - 64<<10

// unsafe says in a sentence why the API server would refuse the pod with a
// plan, as far as that can be seen without the whole pod; else it is empty.
func unsafe(d *draft, p *plan) string {
	for _, name := range p.in.mounted {
		if !hasVolume(d, p, name) {
			return fmt.Sprintf("it mounts volume %q, which neither it nor the pod has. Add the volume to spec.volumes.", name)
		}
	}

	annotations, size := d.annotationBytes(), d.bytes()+bytesOf(p.changes)
	for _, c := range p.changes {
		switch kind := d.edits.Lists[c.list].Kind; {
		case kind == edit.InitContainer && !c.swap && isTaken(d, c.item.Key):
			return fmt.Sprintf("the pod has a container %q, so no init container can have that name. Rename it.", c.item.Key)
		case kind == edit.Label && c.swap && d.pod.Controller != nil:
			return fmt.Sprintf("label %s can't be overridden: the pod's controller may know its pods by it, and would create "+
				"pods for ever. Leave the label out.", c.item.Key)
		case kind == edit.Annotation:
			annotations += len(c.item.Key) + len(c.item.JSON)
		}
	}

	switch {
	case annotations > maxAnnotations:
		return fmt.Sprintf("the pod's annotations would exceed %d bytes. Make them smaller.", maxAnnotations)
	case size > maxPod && len(p.changes) > 0:
		return fmt.Sprintf("the pod would exceed %d bytes, and the API server could not store it. Make it smaller.", maxPod)
	default:
		return ""
	}
}

func hasVolume(d *draft, p *plan, name string) bool {
	if _, ok := d.edits.PodList(edit.Volume).Find(name); ok {
		return true
	}

	return slices.ContainsFunc(p.in.items[edit.Volume], func(it edit.Item) bool { return it.Key == name })
}

// isTaken tells whether a container that is no init container has a name.
func isTaken(d *draft, name string) bool {
	return slices.ContainsFunc(d.pod.Spec.Containers, func(c raw.Container) bool { return c.Name == name }) ||
		slices.ContainsFunc(d.pod.Spec.EphemeralContainers, func(c raw.Named) bool { return c.Name == name })
}
