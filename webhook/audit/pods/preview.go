package pods

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// preview tells what would become of a pod that exists with the Injections that only
// look, if it were created now.
func (t *term) preview(ctx context.Context, pod *corev1.Pod, p *patches.Pod, matches, previews []patches.Match) (all []stated) {
	for _, would := range patches.PreviewAll(ctx, p, matches, previews) {
		s := stated{tally: t.book.tally(nameOf(would.Injection)), state: Previewed}

		if f := would.Failure; f != nil {
			s.state, s.reason = Unfit, uint8(slices.Index(patches.Reasons(), f.Reason))
			s.example(f, pod)
		}

		all = append(all, s)
	}

	return all
}

// example keeps one pod for each reason: it may be gone meanwhile.
func (t *tally) example(f *patches.Failure, pod *corev1.Pod) {
	if t.unfit == nil {
		t.unfit = map[patches.Reason]*v1alpha1.WouldFail{}
	}

	name := pod.Namespace + "/" + pod.Name
	if t.unfit[f.Reason] == nil {
		t.unfit[f.Reason] = &v1alpha1.WouldFail{Reason: string(f.Reason), Example: name}
	}

	if w := t.unfit[f.Reason]; w.Example == name {
		w.Text = f.Text // the Injection may have been edited
	}
}

// count counts a pod that an Injection would fail on.
func (s stated) count(n int32) {
	if s.state != Unfit {
		return
	}

	if w := s.unfit[patches.Reasons()[s.reason]]; w != nil {
		w.Pods += n
	}
}

// wouldFail are the reasons, for the status. One without pods is forgotten.
func (t *tally) wouldFail() (all []v1alpha1.WouldFail) {
	maps.DeleteFunc(t.unfit, func(_ patches.Reason, w *v1alpha1.WouldFail) bool { return w.Pods == 0 })

	for _, reason := range slices.Sorted(maps.Keys(t.unfit)) {
		all = append(all, *t.unfit[reason])
	}

	return all
}
