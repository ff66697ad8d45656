package patches

import (
	"maps"

	"github.com/telltale-dev/telltale/patches/internal/edit"
)

// draft is a pod's edits so far, and the plans they were made by.
type draft struct {
	pod     *Pod
	matches []Match
	edits   *edit.Edits
	made    []plan
	// grown is no less than the number of bytes that the pod has grown by.
	grown int
	// doubts are why the pod as drafted must be judged as a whole.
	doubts doubts
	// injected are the pod's own init containers that an Injection declares,
	// once that was asked.
	injected map[string]bool
	// joined is nil if no match joins anything.
	joined *joined
}

func newDraft(p *Pod, matches []Match) *draft {
	return &draft{pod: p, matches: matches, edits: edit.New(p)}
}

// startDraft is newDraft for a pod that is to be patched.
func startDraft(p *Pod, matches []Match) *draft {
	d := newDraft(p, matches)
	d.joined = newJoined(p, matches, d.edits)

	return d
}

// doubts are the judgements that need the whole pod. Without a doubt, a look at
// the Injection's own parts has shown that nothing can be wrong.
type doubts struct{ validity, security, limits bool }

func (d doubts) or(o doubts) doubts {
	return doubts{validity: d.validity || o.validity, security: d.security || o.security, limits: d.limits || o.limits}
}

func (d *draft) make(p plan) {
	for _, c := range p.changes {
		l, a := &d.edits.Lists[c.list], edit.Addition{Item: c.item, By: p.match}
		if c.swap {
			l.Swap(c.at, a)
		} else {
			l.Add(a, p.in.position(l.Kind))
		}

		if l.Kind == edit.Env {
			d.joined.note(c)
		}
	}

	for _, c := range p.found {
		d.joined.note(c)
	}

	d.made = append(d.made, p)
	d.grown += bytesOf(p.changes)
}

// first returns a draft with the first plans only, and without doubts.
func (d *draft) first(plans int) *draft {
	again := startDraft(d.pod, d.matches)
	again.joined.doubt(d.joined)

	again.injected = d.injected

	for _, p := range d.made[:plans] {
		again.make(p)
	}

	return again
}

// bytes is no less than the size of the pod as drafted.
func (d *draft) bytes() int { return len(d.pod.JSON) + d.grown }

// annotationBytes is no less than the size of the pod's annotations as drafted.
func (d *draft) annotationBytes() int {
	n := 0
	for k, v := range d.pod.Annotations {
		n += len(k) + len(v)
	}

	for _, a := range d.edits.PodList(edit.Annotation).All() {
		n += len(a.Key) + len(a.JSON)
	}

	return n
}

// annotations are the pod's, as drafted.
func (d *draft) annotations() map[string]string {
	additions := d.edits.PodList(edit.Annotation).All()
	if len(additions) == 0 {
		return d.pod.Annotations
	}

	all := maps.Clone(d.pod.Annotations)
	if all == nil {
		all = map[string]string{}
	}

	for _, a := range additions {
		if v, ok := a.Value.(string); ok {
			all[a.Key] = v
		}
	}

	return all
}
