package patches

import (
	"context"
	"slices"
)

// Preview is what would become of a pod with an Injection whose mode is Preview, if
// that were Active.
type Preview struct {
	*Injection

	// Failure says why it would not be applied; nil: it would be.
	Failure *Failure
}

// Previews returns the Injections with mode: Preview that select a pod with these
// traits, as Match does the active ones. There are mostly none.
func (s *Set) Previews(pod Traits, ns Namespace) (found []Match) {
	buckets := []*bucket{s.buckets[""]}
	if ns.Name != "" {
		buckets = append(buckets, s.buckets[ns.Name])
	}

	for _, b := range buckets {
		if b == nil || len(b.previews) == 0 || optedOut(pod.Labels, ns) != "" {
			continue
		}

		for _, in := range b.previews {
			found = in.match(found, &pod, ns)
		}
	}

	slices.SortFunc(found, inOrder)

	return found
}

// PreviewAll tells what would become of a pod with all previews, after the matches
// that are active, whatever their order: a conflict between two is the preview's, on a
// pod that is created as on one that exists. It judges the pod as New does, and makes
// no patch.
func PreviewAll(ctx context.Context, p *Pod, matches, previews []Match) []Preview {
	if len(previews) == 0 || p.IsMirror() {
		return nil
	}

	_, failures := decide(ctx, p, slices.Concat(matches, previews))

	would := make([]Preview, len(previews))
	for i, m := range previews {
		would[i] = Preview{m.Injection, failures[len(matches)+i]}
	}

	return would
}

func previewedRecord(previews []Preview) string {
	entries := make([]string, len(previews))

	for i, p := range previews {
		why := Reason("")
		if p.Failure != nil {
			why = p.Failure.Reason
		}

		entries[i] = p.recorded(why)
	}

	return join(entries)
}
