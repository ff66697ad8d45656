package patches

import (
	"context"

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
}

func newDraft(p *Pod, matches []Match) *draft {
	return &draft{pod: p, matches: matches, edits: edit.New(p)}
}

// add applies one more Injection, or says why not. It sees all that can be seen
// without the whole pod.
func (d *draft) add(ctx context.Context, match int) *Failure {
	m := d.matches[match]
	fail := func(r Reason, text string) *Failure { return &Failure{m.Injection, r, text} }

	switch {
	case ctx.Err() != nil:
		return fail(Timeout, outOfTime)
	case m.err != nil:
		return fail(Invalid, m.err.Error()+". Correct the Injection.")
	case m.Undecided:
		return fail(NotLoaded, unknownNamespace)
	}

	p := d.plan(match)
	if !p.reached && m.isForContainers() {
		return fail(Invalid, d.noContainer())
	}

	if len(p.conflicts) > 0 {
		return fail(Conflict, p.conflictText())
	}

	if text := d.unsafe(&p); text != "" {
		return fail(Unsafe, text)
	}

	doubts := d.doubtsOf(&p)
	if doubts.security && !m.namespace.Known {
		return fail(NotLoaded, unknownNamespace)
	}

	d.doubts = d.doubts.or(doubts)
	d.make(p)

	return nil
}

const (
	outOfTime = "there was no time left to judge it. Restart the pod; if it happens often, give Telltale more CPU, " +
		"or select the pod with fewer Injections."
	unknownNamespace = "the labels of the pod's namespace are not known yet. Restart the pod."
)

func (d *draft) make(p plan) {
	for _, c := range p.changes {
		l, a := &d.edits.Lists[c.list], edit.Addition{Item: c.item, By: p.match}
		if c.swap {
			l.Swap(c.at, a)
		} else {
			l.Add(a, p.in.position(l.Kind))
		}
	}

	d.made = append(d.made, p)
	d.grown += p.bytes()
}

// first returns a draft with the first plans only, and without doubts.
func (d *draft) first(plans int) *draft {
	again := newDraft(d.pod, d.matches)
	again.injected = d.injected

	for _, p := range d.made[:plans] {
		again.make(p)
	}

	return again
}
