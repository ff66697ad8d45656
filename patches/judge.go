package patches

import (
	"cmp"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/telltale-dev/telltale/internal/oneline"
	"github.com/telltale-dev/telltale/patches/internal/apiserver"
	"github.com/telltale-dev/telltale/patches/internal/edit"
)

// judge holds the pod that we would answer against the pod as it came. The patch
// is written and applied, the API server's defaults are set, and its own code
// judges the result; nothing else is judged, and nothing is judged by us. A pod
// that breaks a rule by itself may go on breaking it: that is no Injection's
// failure.
//
// The pod as it came is decoded once, when it is first needed, and judged only
// where a draft is refused.
type judge struct {
	pod       *Pod
	namespace Namespace

	came          *corev1.Pod // without defaults
	before, after *judged     // before is the draft that was last accepted
}

// judged is a pod with its defaults, and the refusals of it that were asked for.
type judged struct {
	*corev1.Pod

	refusals *field.ErrorList
	limited  *apiserver.Limited
}

// verdict says whether a draft may be answered.
type verdict struct {
	// reason is why not, and text says it in a sentence. Empty: it may.
	reason Reason
	text   string
	// broken is true where the draft breaks a rule that it broke before, too.
	// One Injection may mend that and another break it again, so each must be
	// judged by itself.
	broken bool
}

// verdict judges a draft, as far as there are doubts about it.
func (j *judge) verdict(d *draft) verdict {
	j.after = nil
	if d.doubts == (doubts{}) {
		return verdict{}
	}

	if err := j.decode(); err != nil {
		return verdict{reason: Unsafe, text: fmt.Sprintf(
			"the pod does not decode, so it can't be judged with the Injection: %v. Correct the pod.", err)}
	}

	if err := j.apply(d); err != nil {
		return verdict{reason: Unsafe, text: fmt.Sprintf(
			"the pod can't be judged: %v. This is a bug of Telltale: please report it.", err)}
	}

	var all verdict

	for _, v := range []struct {
		doubt bool
		ask   func() verdict
	}{{d.doubts.validity, j.validity}, {d.doubts.security, j.security}, {d.doubts.limits, func() verdict { return j.limits(d.made) }}} {
		if !v.doubt {
			continue
		}

		one := v.ask()
		if one.reason != "" {
			return one
		}

		all.broken = all.broken || one.broken
	}

	return all
}

// validity asks the API server's validation.
func (j *judge) validity() verdict {
	if len(j.after.refused()) == 0 {
		return verdict{}
	}

	blamed := apiserver.Blamed(j.before.refused(), j.after.refused())
	if blamed == nil {
		return verdict{broken: true}
	}

	return verdict{reason: Unsafe, text: fmt.Sprintf("the pod would not be valid: %s. Correct the Injection, or narrow its selector.",
		oneline.Of(apiserver.Describe(blamed)))}
}

// security asks the checks of the namespace's Pod Security level.
func (j *judge) security() verdict {
	level := enforced(j.namespace)
	if level.Allows(j.after.Pod) {
		return verdict{}
	}

	broken := level.NewlyBroken(j.before.Pod, j.after.Pod)
	if broken == "" {
		return verdict{broken: true}
	}

	return verdict{reason: Forbidden, text: fmt.Sprintf(
		"the pod would violate the namespace's Pod Security level %q: %s. Change the Injection, or the level.", level, broken)}
}

// limits asks the namespace's LimitRanges and ResourceQuotas. The last plan is the
// one that is judged.
func (j *judge) limits(made []plan) verdict {
	rules := rulesOf(j.namespace)

	after := j.after.limits(rules)
	if after.None() {
		return verdict{}
	}

	before := j.before.limits(rules)
	if quota, lacks := after.Unset(before); len(lacks) > 0 && len(made) > 0 {
		return verdict{reason: Forbidden, text: wants(quota, lacks, made[len(made)-1].in)}
	}

	text := after.Blamed(before)
	if text == "" {
		return verdict{broken: true}
	}

	return verdict{reason: Forbidden, text: oneline.Cut(text, maxBlamed) + ". Set resources in spec.initContainers of the Injection, or change the rule."}
}

// wants says which resources a quota wants the init containers of an Injection to
// set, and where.
func wants(quota string, lacks map[string][]string, in *Injection) string {
	var what, where []string

	for i, it := range in.items[edit.InitContainer] {
		if names := lacks[it.Key]; len(names) > 0 {
			what = append(what, fmt.Sprintf("%s for init container %q", strings.Join(names, " and "), it.Key))
			where = append(where, fmt.Sprintf("spec.initContainers[%d].resources", i))
		}
	}

	return oneline.Cut(quota+" wants "+strings.Join(what, ", "), maxBlamed) + ". Set " + oneline.Cut(strings.Join(where, " and "), maxBlamed/2) + "."
}

// maxBlamed is the most that is said of a rule, in bytes. It leaves room in an
// event for the cure.
const maxBlamed = 600

// accept makes a draft that may be answered the one to hold the next against.
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

func (j *judged) limits(r apiserver.Rules) apiserver.Limited {
	if j.limited == nil {
		limited := r.Limit(j.Pod)
		j.limited = &limited
	}

	return *j.limited
}
