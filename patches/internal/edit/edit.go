// Package edit changes the lists of a pod, and writes the changes as a JSON
// patch. It knows nothing of Injections: it is told what to put where.
//
//	e := edit.New(pod)
//	l := e.PodList(edit.Volume)
//	if at, found := l.Find("logs"); !found {
//		l.Add(edit.Addition{Item: item}, edit.Last)
//	}
//	patch := e.Patch()
//
// The patch adds elements, replaces elements, and removes annotations; whatever
// it does not name stays as it is, byte for byte. It applies to the JSON that
// the pod was decoded from (TestEdits, patches.FuzzPatch).
package edit

import (
	"slices"
	"strconv"

	"github.com/telltale-dev/telltale/patches/internal/raw"
)

// Edits are the lists of a pod, with the changes to make in them.
type Edits struct {
	// Lists are in the order in which the patch must change them: env of an
	// init container is addressed by its index, so it comes before init
	// containers are added.
	Lists []List

	removed []string // annotations
}

// New returns the lists of a pod, with no changes.
func New(p *raw.Pod) *Edits {
	const ofContainer = 3

	own := ofPod()
	e := &Edits{Lists: make([]List, 0, ofContainer*(len(p.Spec.Containers)+len(p.Spec.InitContainers))+len(own))}

	for i := range p.Spec.Containers {
		e.addContainer(p, &p.Spec.Containers[i], "/spec/containers/"+strconv.Itoa(i)+"/", false)
	}

	for i := range p.Spec.InitContainers {
		e.addContainer(p, &p.Spec.InitContainers[i], "/spec/initContainers/"+strconv.Itoa(i)+"/", true)
	}

	for _, k := range own {
		parent := "/spec/"
		if k.isMap() {
			parent = "/metadata/"
		}

		e.Lists = append(e.Lists, List{Kind: k, pod: p, parent: parent})
	}

	return e
}

func (e *Edits) addContainer(p *raw.Pod, c *raw.Container, parent string, isInit bool) {
	if c.Name == "" {
		return // null perhaps; no API server creates a pod with it
	}

	for _, k := range [...]Kind{Env, EnvFrom, Mount} {
		e.Lists = append(e.Lists, List{Kind: k, Container: c, IsInit: isInit, pod: p, parent: parent})
	}
}

// PodList returns the pod's own list of a kind: not Env, EnvFrom or Mount.
func (e *Edits) PodList(k Kind) *List {
	all := ofPod()

	return &e.Lists[len(e.Lists)-len(all)+slices.Index(all[:], k)]
}

// Remove removes an annotation that the pod has.
func (e *Edits) Remove(annotation string) { e.removed = append(e.removed, annotation) }

// Patch writes all changes as a JSON patch (RFC 6902), or nil where there are
// none.
func (e *Edits) Patch() []byte {
	var b patch
	for i := range e.Lists {
		e.Lists[i].write(&b)
	}

	for _, key := range e.removed {
		b.op("remove", e.PodList(Annotation).pathOf(0, key), nil)
	}

	return b.end()
}
