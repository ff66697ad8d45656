package patches

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/telltale-dev/telltale/patches/internal/apiserver"
)

// judge holds the pod that we would answer against the pod as it came. The patch
// is written and applied, the API server's defaults are set, and its own code
// judges the result; nothing else is judged, and nothing is judged by us. A pod
// that breaks a rule by itself may go on breaking it: that is no Injection's
// failure.
//
// The pod as it came is decoded and judged once, when it is first needed.
type judge struct {
	pod       *Pod
	namespace Namespace

	came          *corev1.Pod // without defaults
	before, after *judged     // before holds the draft that was last accepted
}

// judged is a pod with its defaults, and the API server's refusals of it, once
// they were asked for.
type judged struct {
	*corev1.Pod

	refusals *field.ErrorList
}

// verdict is why a draft must not be answered; the zero verdict lets it pass.
type verdict struct {
	reason Reason
	text   string
}

// verdict judges a draft, as far as there are doubts about it.
func (j *judge) verdict(d *draft) verdict {
	j.after = nil
	if d.doubts == (doubts{}) {
		return verdict{}
	}

	if err := j.decode(); err != nil {
		return verdict{Unsafe, fmt.Sprintf("the pod does not decode, so it can't be judged with the Injection: %v. Correct the pod.", err)}
	}

	if err := j.apply(d); err != nil {
		return verdict{Unsafe, fmt.Sprintf("the pod can't be judged: %v. This is a bug of Telltale: please report it.", err)}
	}

	if d.doubts.validity {
		if blamed := apiserver.Blamed(j.before.refused(), j.after.refused()); blamed != nil {
			return verdict{Unsafe, fmt.Sprintf("the pod would not be valid: %s. Correct the Injection, or narrow its selector.",
				apiserver.Describe(blamed))}
		}
	}

	if d.doubts.security {
		level := enforced(j.namespace)
		if broken := level.NewlyBroken(j.before.Pod, j.after.Pod); broken != "" {
			return verdict{Forbidden, fmt.Sprintf("the pod would violate the namespace's Pod Security level %q: %s. "+
				"Change the Injection, or the level.", level, broken)}
		}
	}

	return verdict{}
}

// accept makes a draft that was let pass the one to hold the next against.
func (j *judge) accept(d *draft) {
	if j.after == nil && j.came != nil { // there was no doubt about this one
		_ = j.apply(d) // else verdict finds the bug
	}

	if j.after != nil {
		j.before = j.after
	}
}

// apply makes the pod that we would answer.
func (j *judge) apply(d *draft) error {
	after := j.came.DeepCopy()
	if err := apiserver.Apply(after, d.edits.Patch()); err != nil {
		return err
	}

	j.after = withDefaults(after)

	return nil
}

// isBroken tells whether the pod breaks a rule already. One Injection may mend
// that and another break it again, so each must be judged by itself.
func (j *judge) isBroken(d doubts) bool {
	return d.validity && len(j.before.refused()) > 0 || d.security && !enforced(j.namespace).Allows(j.before.Pod)
}

func (j *judge) decode() (err error) {
	if j.came != nil {
		return nil
	}

	if j.came, err = j.pod.Whole(); err != nil {
		return err
	}

	if j.came.Name == "" && j.came.GenerateName != "" {
		j.came.Name = j.came.GenerateName + "xxxxx" // as the API server will
	}

	j.came.Namespace = cmp.Or(j.came.Namespace, j.namespace.Name)
	j.before = withDefaults(j.came.DeepCopy())

	return nil
}

func withDefaults(pod *corev1.Pod) *judged {
	apiserver.SetDefaults(pod)

	return &judged{Pod: pod}
}

func (j *judged) refused() field.ErrorList {
	if j.refusals == nil {
		refusals := apiserver.Refusals(j.Pod)
		j.refusals = &refusals
	}

	return *j.refusals
}
