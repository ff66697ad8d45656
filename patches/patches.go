package patches

import (
	"context"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/telltale-dev/telltale/patches/internal/raw"
)

// Pod is the part of a pod that Injections can meet, decoded from the JSON that
// the API server sent.
type Pod = raw.Pod

// Decode reads a pod. Names of fields are case-sensitive, as they are for the
// API server, and none may be there twice. The Pod refers to b, which must not
// change after. An error holds no value of an env var.
func Decode(b []byte) (*Pod, error) { return raw.Decode(b) }

// DecodeNext reads the pod that is next for a decoder of a larger text, such as
// a review, so that the whole of it is read once. Else it is Decode.
func DecodeNext(d *jsontext.Decoder, text []byte) (*Pod, error) { return raw.DecodeNext(d, text) }

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
// matches is left alone.
//
// It looks at ctx between Injections: once ctx has ended, the rest fail as
// Timeout.
func New(ctx context.Context, p *Pod, matches []Match) Result {
	var r Result
	if len(matches) == 0 {
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

	d.record(injectedRecord(r.Injected), failedRecord(r.Failed))
	r.Patch = d.edits.Patch()

	return r
}

// decide drafts all Injections and has the draft judged, mostly once. Where it
// is refused, the part that was not judged yet is halved, until one Injection is
// left to blame. So many good ones cost one judgement, and one bad one among
// them some more; the worst are many bad ones, at one for each.
func decide(ctx context.Context, p *Pod, matches []Match) (*draft, []*Failure) {
	d, j, failures := newDraft(p, matches), judge{pod: p, namespace: matches[0].namespace}, make([]*Failure, len(matches))

	for from, size := 0, len(matches); from < len(matches); {
		to, made := min(from+size, len(matches)), len(d.made)
		for i := from; i < to; i++ {
			failures[i] = d.add(ctx, i)
		}

		v := j.verdict(d)
		one, good := to-from == 1, v == verdict{}

		switch {
		case good && (one || !j.isBroken(d.doubts)):
			j.accept(d)
			d.doubts = doubts{}
			from, size = to, 2*size
		case one:
			d, failures[from] = d.first(made), &Failure{matches[from].Injection, v.reason, v.text}
			from++
		default:
			d, size = d.first(made), (to-from)/2
		}
	}

	return d, failures
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

	record := failedRecord(failed)
	if len(matches) == 0 {
		record = "*=" + string(reason)
	}

	d := newDraft(p, nil)
	d.record("", record)

	return d.edits.Patch()
}
