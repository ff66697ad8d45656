package pods

import (
	"time"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// State is what became of an Injection on one pod that it selects.
type State uint8

// The states.
const (
	// Earlier: the pod has no record, and it is older than the Injection, an edit of
	// it, or something else that decides.
	Earlier State = iota
	// Injected: the pod has all of it.
	Injected
	// Outdated: the pod has an older revision, or a part has another value.
	Outdated
	// Failed: the pod's record says that it failed. Its owner has an event.
	Failed
	// Missed: Telltale was not asked about the pod.
	Missed
	// Lost: it was applied, and a part of it is not there.
	Lost
	// Stuck: the pod has all of it, and does not start because of it.
	Stuck
	// Unsure: as Missed, but the order of the pod and an edit can't be told.
	Unsure
	// Relabelled: the Injection did not select the pod when it was created.
	Relabelled
	// Previewed: the Injection only looks, and the pod could have it.
	Previewed
	// Unfit: the Injection only looks, and would fail on the pod.
	Unfit

	states // how many there are
)

// margin is more than two clocks may be apart, which is 2 s. The API server's times
// are whole seconds.
const margin = 3 * time.Second

// Since is when something came to be as it is now: not before After, and at Until
// at the latest.
type Since struct{ After, Until time.Time }

// latest is for several things that must all be as they are.
func latest(all ...Since) (last Since) {
	for _, s := range all {
		if s.After.After(last.After) {
			last.After = s.After
		}

		if s.Until.After(last.Until) {
			last.Until = s.Until
		}
	}

	return last
}

// birth is when a pod was created. Webhooks were called in between.
type birth struct{ begun, created time.Time }

// of tells the state of an Injection that a pod of this age should have and has
// nothing of.
func (s Since) of(b birth) State {
	switch {
	case b.begun.After(s.Until.Add(margin)):
		return Missed
	case b.created.Before(s.After.Add(-margin)):
		return Earlier
	default:
		return Unsure
	}
}

// verdict is the state of one Injection on a pod.
type verdict struct {
	injection *patches.Injection
	state     State
	text      string // of Missed and Lost: the part that is not there
	revision  string // by the pod's record; "" where it was not applied
}

// judge tells the state of each match on a pod that exists. since says when the
// match came to be: the newest of all edits that decide whether the pod gets it.
func judge(p *patches.Pod, born birth, namespace string, matches []patches.Match, since func(*patches.Injection) Since) []verdict {
	if len(matches) == 0 || p.IsMirror() {
		return nil
	}

	injected, whole := v1alpha1.ParseRecord(p.Annotations[v1alpha1.InjectedAnnotation])
	failed, wholeFailed := v1alpha1.ParseRecord(p.Annotations[v1alpha1.FailedAnnotation])
	cut := !whole || !wholeFailed
	present := patches.Present(p, matches)
	all := make([]verdict, len(matches))

	for i, m := range matches {
		in, has := m.Injection, present[i]
		v := &all[i]
		v.injection = in
		revision, isInjected := find(injected, in.String())
		_, isFailed := find(failed, in.String())
		v.revision = revision

		switch {
		case isInjected && revision == in.Revision() && has.Absent != "":
			v.state, v.text = Lost, has.Absent
		case isInjected && (revision != in.Revision() || has.Changed):
			v.state = Outdated
		case isInjected:
			v.state = Injected
		case isFailed:
			v.state = Failed
		case has.Absent == "" && has.Changed:
			v.state = Outdated
		case has.Absent == "" && in.Err() == nil:
			v.state = Injected
		case cut, m.Undecided, in.Err() != nil, in.WithdrawnFor(p.Controller, namespace) != nil:
			v.state = Unsure
		default:
			v.state, v.text = since(in).of(born), has.Absent
		}

		if v.state == Missed {
			v.state = unasked(p, len(injected)+len(failed) > 0 || p.Annotations[v1alpha1.PreviewedAnnotation] != "")
		}
	}

	return all
}

// unasked is the state of an Injection that is not in a pod's record, though the pod
// is younger than all that decides. A pod that has a record was asked about: a label
// that selects it came later, from another Injection perhaps.
func unasked(p *patches.Pod, hasRecord bool) State {
	switch {
	case hasRecord:
		return Relabelled
	case !patches.HasRecord(p):
		return Unsure
	default:
		return Missed
	}
}

// find returns the revision of an entry of a record, and whether there is one: for
// this Injection, or for all.
func find(record []v1alpha1.Recorded, name string) (revision string, ok bool) {
	for _, r := range record {
		if r.Name == name || r.Name == "*" && r.Reason != "" && !ok {
			revision, ok = r.Revision, true
		}
	}

	return revision, ok
}
