package patches

import (
	"context"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// decide drafts all Injections and has the draft judged, mostly once. Where it
// is refused, the part that was not judged yet is halved, until one Injection is
// left to blame. So many good ones cost one judgement, and one bad one among
// them some more; the worst are many bad ones, at one for each.
func decide(ctx context.Context, p *Pod, matches []Match) (*draft, []*Failure) {
	d, j, failures := startDraft(p, matches), judge{pod: p}, make([]*Failure, len(matches))
	if len(matches) > 0 {
		j.namespace = matches[0].namespace
	}

	for from, size := 0, len(matches); from < len(matches); {
		to, made := min(from+size, len(matches)), len(d.made)
		for i := from; i < to; i++ {
			failures[i] = apply(ctx, d, i)
		}

		one := to-from == 1

		switch v := j.verdict(d); {
		case v.reason == "" && (one || !v.broken):
			j.accept(d)
			d.doubts = doubts{}
			from, size = to, 2*size
		case one:
			d, failures[from] = d.first(made), &Failure{Injection: matches[from].Injection, Reason: v.reason, Text: v.text}
			from++
		default:
			d, size = d.first(made), (to-from)/2
		}
	}

	return d, failures
}

// apply applies one more Injection, or says why not. It sees all that can be seen
// without the whole pod.
func apply(ctx context.Context, d *draft, match int) *Failure {
	m := d.matches[match]
	fail := func(r Reason, text string) *Failure { return &Failure{Injection: m.Injection, Reason: r, Text: text} }

	switch {
	case ctx.Err() != nil:
		return fail(Timeout, outOfTime)
	case m.err != nil:
		return fail(Invalid, m.err.Error()+". Correct the Injection.")
	case m.Undecided:
		return fail(NotLoaded, unknownNamespace)
	}

	if w := m.withdrawnFor(d.pod, m.namespace.Name); w != nil {
		return &Failure{Injection: m.Injection, Reason: Refused, Text: refusedText(w), Trial: w.Phase == v1alpha1.TrialPhase}
	}

	if len(m.required) > 0 {
		if f := unmet(m); f != nil {
			return f
		}
	}

	p := newPlan(d, match)
	if !p.reached && m.isForContainers() {
		return fail(Invalid, noContainer(d, m.Injection))
	}

	if len(p.conflicts) > 0 {
		return fail(Conflict, p.conflictText())
	}

	if text := unsafe(d, &p); text != "" {
		return fail(Unsafe, text)
	}

	if text := excluded(d, &p); text != "" {
		return fail(Refused, text)
	}

	doubts := p.doubts(d)
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
