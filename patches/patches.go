package patches

import (
	"context"
	"strings"
)

// Result is what becomes of a pod.
type Result struct {
	// Patch is a JSON patch of the bytes that the Pod was decoded from, or nil
	// where there is nothing to change.
	Patch []byte
	// Injected are the Injections that the patched pod carries, whether the
	// patch adds them or they were there already.
	Injected []*Injection
	// Failed are those it does not carry, in the order of the matches.
	Failed []Failure
}

// New applies Injections to a pod, in the order given. Each is applied whole or
// not at all, and one that fails does not stop the others. The patch also
// writes down on the pod which were applied and which failed. A pod that nothing
// matches, or that is a static pod's mirror, is left alone. If the pod has a Doubt,
// it is written down as well.
//
// Previews are judged as well, after the others, and only written down.
//
// It looks at ctx between Injections: once ctx has ended, the rest fail as
// Timeout.
func New(ctx context.Context, p *Pod, matches []Match, previews ...Match) Result {
	var r Result
	if len(matches)+len(previews) == 0 || p.IsMirror() {
		return r
	}

	d, failures := decide(ctx, p, matches)
	for i, f := range failures {
		if f != nil {
			r.Failed = append(r.Failed, *f)
		} else {
			r.Injected = append(r.Injected, matches[i].Injection)
		}
	}

	failed := failedRecord(r.Failed)
	if p.Doubt != "" {
		failed = strings.TrimPrefix(failed+","+recordAll(Reason(p.Doubt)), ",")
	}

	record(d, injectedRecord(r.Injected), failed, containersRecord(d, r.Injected), previewedRecord(PreviewAll(ctx, p, matches, previews)))
	r.Patch = d.edits.Patch()

	return r
}

// Refuse is the patch for a pod that gets none of its Injections, for a reason
// that is not theirs: it only writes down, under the names of the matches, that
// they failed. With no matches it writes the reason under "*", for all
// Injections at once.
func Refuse(p *Pod, matches []Match, reason Reason) []byte {
	failed := make([]Failure, len(matches))
	for i, m := range matches {
		failed[i] = Failure{Injection: m.Injection, Reason: reason}
	}

	entries := failedRecord(failed)
	if len(matches) == 0 {
		entries = recordAll(reason)
	}

	d := newDraft(p, nil)
	record(d, "", entries, "", "")

	return d.edits.Patch()
}
