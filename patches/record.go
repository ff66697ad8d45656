package patches

import (
	"slices"
	"strings"

	"github.com/telltale-dev/telltale/patches/internal/edit"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// maxNames is the most that the annotation with the names of containers has, in
// bytes. It is not there if it would be longer.
const maxNames = 1 << 10

// record sets the annotations that say what became of the pod, and removes
// one that is there from elsewhere, in a pod template perhaps. Where it would
// make the annotations or the pod too large it only removes: better no record
// than no pod.
func record(d *draft, injected, failed, containers, previewed string) {
	if !hasSpace(d, 2*maxRecord+maxNames) {
		injected, failed, containers = "", "", ""
	}

	joined := d.joined.record(d.made)
	if joined+previewed != "" && !hasSpace(d, 4*maxRecord) {
		joined, previewed = "", ""
	}

	annotations := d.edits.PodList(edit.Annotation)

	for _, r := range [...]struct{ key, value string }{
		{v1alpha1.InjectedAnnotation, injected},
		{v1alpha1.FailedAnnotation, failed},
		{v1alpha1.ContainersAnnotation, containers},
		{v1alpha1.JoinedAnnotation, joined},
		{v1alpha1.PreviewedAnnotation, previewed},
	} {
		at, found := annotations.Find(r.key)
		if r.value == "" {
			if found {
				d.edits.Remove(r.key)
			}

			continue
		}

		a := edit.Addition{Item: &edit.Item{Key: r.key, JSON: edit.Encode(r.value), Value: r.value}}
		if found {
			annotations.Swap(at, a)
		} else {
			annotations.Add(a, edit.Last)
		}
	}
}

func hasSpace(d *draft, bytes int) bool {
	return d.annotationBytes()+bytes <= maxAnnotations && d.bytes()+bytes <= maxPod
}

// HasRecord tells whether a pod of this size has a record, if Telltale was asked
// about it. A pod that exists may be larger than it was then.
func HasRecord(p *Pod) bool { return hasSpace(newDraft(p, nil), 4*maxRecord) }

// containersRecord has the names of the containers that parts of some Injections went
// to.
func containersRecord(d *draft, injected []*Injection) string {
	var names []string

	for i := range d.edits.Lists {
		l := &d.edits.Lists[i]
		if l.Container == nil || l.Kind != edit.Env { // one list of each container
			continue
		}

		if slices.ContainsFunc(injected, func(in *Injection) bool { return in.isForContainers() && isReached(d, in, l) }) {
			names = append(names, l.Container.Name)
		}
	}

	if all := strings.Join(names, ","); len(all) <= maxNames {
		return all
	}

	return ""
}

func injectedRecord(injections []*Injection) string {
	entries := make([]string, len(injections))
	for i, in := range injections {
		entries[i] = in.recorded("")
	}

	return join(entries)
}

func failedRecord(failed []Failure) string {
	entries := make([]string, len(failed))
	for i, f := range failed {
		entries[i] = f.Injection.recorded(f.Reason)
	}

	return join(entries)
}

// recordAll is the entry for all Injections at once: it is not known which there
// are.
func recordAll(reason Reason) string { return "*=" + string(reason) }
