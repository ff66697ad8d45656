package patches

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	kjson "sigs.k8s.io/json"
)

// evaluator holds the checks of Pod Security: tables of functions, which never
// change. It is made once, when the first Injection that needs it is compiled.
//
//nolint:gochecknoglobals // a constant that Go can't write as one
var evaluator = sync.OnceValue(func() policy.Evaluator {
	e, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		panic(err) // the library's own checks: its tests hold that they fit together
	}

	return e
})

// enforced is the Pod Security level that the API server holds the namespace's
// pods to. Where its labels don't say, it is privileged, the API server's own
// default; where they make no sense, restricted, as there. Of a namespace that
// is not known it is the strictest there is.
func (ns Namespace) enforced() api.LevelVersion {
	if !ns.Known {
		return api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	}

	p, _ := api.PolicyToEvaluate(ns.Labels, api.Policy{
		Enforce: api.LevelVersion{Level: api.LevelPrivileged, Version: api.LatestVersion()},
	})

	return p.Enforce
}

// isGuarded tells whether a check of Pod Security reads an element of a list.
// Checks read more of a pod, but nothing else that an Injection can change
// (TestMostAreNotGuarded).
//
// Source: k8s.io/pod-security-admission v0.37.2 policy/check_*.go.
func isGuarded(k kind, key string) bool {
	return k == volumeKind || k == initContainerKind || k == annotationKind && isProfile(key)
}

// isProfile tells whether an annotation sets the AppArmor or seccomp profile of
// containers.
func isProfile(key string) bool {
	return strings.HasPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix) ||
		strings.HasPrefix(key, corev1.SeccompContainerAnnotationKeyPrefix) || key == corev1.SeccompPodAnnotationKey
}

// compileGuarded notes whether the Injection can make any level refuse a pod at
// all. Most can't.
func (in *Injection) compileGuarded() {
	for _, k := range []kind{volumeKind, initContainerKind, annotationKind} {
		in.guarded = in.guarded || slices.ContainsFunc(k.items(in), func(it item) bool { return isGuarded(k, it.key) })
	}

	if in.guarded {
		evaluator()
	}
}

// forbidden is the failure of a plan that makes the pod break a check of the
// namespace's Pod Security level which it does not break without. What the pod
// breaks by itself is no Injection's failure.
//
// Mostly a look at what is added, by itself, is enough: the rest of a pod can
// only loosen a check for it, or break the check alone. Only where that finds
// something is the whole pod decoded and checked, twice (TestForbiddenIsExact).
func (e *edits) forbidden(m Match, p *plan) *Failure {
	level := m.namespace.enforced()
	if level.Level == api.LevelPrivileged {
		return nil
	}

	added, sure := e.addedBy(p)
	if sure && (added.empty() || allowed(level, added)) {
		return nil
	}

	if !m.namespace.Known {
		return undecided(m)
	}

	before, err := e.checked(nil)
	if err != nil {
		return &Failure{m.Injection, Unsafe, fmt.Sprintf(
			"the pod's spec does not decode, so it can't be held against the namespace's Pod Security level %q. Correct the pod.", level)}
	}

	after, _ := e.checked(p) // the same spec

	if why := newlyBroken(level, before, after); why != "" {
		return &Failure{m.Injection, Forbidden, fmt.Sprintf(
			"the pod would violate the namespace's Pod Security level %q: %s. Change the Injection, or the level.", level, why)}
	}

	return nil
}

// checkedPod is what the checks of Pod Security look at.
type checkedPod struct {
	metadata metav1.ObjectMeta
	spec     corev1.PodSpec
}

func (c *checkedPod) empty() bool { return len(c.spec.Volumes)+len(c.spec.InitContainers) == 0 }

// addedBy is what a plan adds that checks read, as a pod of its own. It is not
// sure where that alone does not tell, because a profile is added for a
// container that is not.
func (e *edits) addedBy(p *plan) (added *checkedPod, sure bool) {
	added, sure = &checkedPod{}, true
	added.metadata.Annotations = e.annotations.texts(e.pod.Annotations)

	for _, c := range p.changes {
		switch v := c.item.value.(type) {
		case *corev1.Volume:
			added.spec.Volumes = append(added.spec.Volumes, *v)
		case *corev1.Container:
			added.spec.InitContainers = append(added.spec.InitContainers, *v)
		case string:
			sure = sure && !isGuarded(c.list.kind, c.item.key)
		}
	}

	return added, sure
}

// checked is the pod with all that was planned before, and with one more plan
// if there is one.
func (e *edits) checked(more *plan) (*checkedPod, error) {
	if e.spec == nil {
		var wire struct {
			Spec corev1.PodSpec `json:"spec"`
		}

		if err := kjson.UnmarshalCaseSensitivePreserveInts(e.pod.raw, &wire); err != nil {
			return nil, err
		}

		e.spec = &wire.Spec
	}

	c := &checkedPod{spec: *e.spec}
	c.metadata.Annotations = e.annotations.with(more).texts(e.pod.Annotations)
	c.spec.Volumes = typed(e.volumes.with(more), e.spec.Volumes)
	c.spec.InitContainers = typed(e.initContainers.with(more), e.spec.InitContainers)

	return c, nil
}

// with is a copy of the list that has what a plan changes in it.
func (l *list) with(p *plan) *list {
	if p == nil {
		return l
	}

	c := *l
	c.index, c.swapped = maps.Clone(l.index), maps.Clone(l.swapped)
	c.first, c.last = slices.Clone(l.first), slices.Clone(l.last)

	for _, change := range p.changes {
		if change.list == l {
			change.make(&c, p.in)
		}
	}

	return &c
}

// typed is a list with all that was planned, given the pod's own elements.
func typed[T any](l *list, own []T) []T {
	all := slices.Clone(own)
	for i, a := range l.swapped {
		if v, ok := a.value.(*T); ok && i < len(all) {
			all[i] = *v
		}
	}

	for _, a := range slices.Concat(l.first, l.last) {
		if v, ok := a.value.(*T); ok {
			all = append(all, *v)
		}
	}

	return all
}

// texts is a map of strings with all that was planned, given the pod's own.
func (l *list) texts(own map[string]string) map[string]string {
	if len(l.first)+len(l.last)+len(l.swapped) == 0 {
		return own
	}

	all := maps.Clone(own)
	if all == nil {
		all = map[string]string{}
	}

	for _, a := range slices.Concat(slices.Collect(maps.Values(l.swapped)), l.first, l.last) {
		if v, ok := a.value.(string); ok {
			all[a.key] = v
		}
	}

	return all
}

func allowed(level api.LevelVersion, pod *checkedPod) bool {
	results := evaluator().EvaluatePod(level, &pod.metadata, &pod.spec)

	return !slices.ContainsFunc(results, func(r policy.CheckResult) bool { return !r.Allowed })
}

// newlyBroken says which checks a pod breaks after a change and not before, and
// with what, in at most maxBroken bytes.
func newlyBroken(level api.LevelVersion, before, after *checkedPod) string {
	had := evaluator().EvaluatePod(level, &before.metadata, &before.spec)

	var broken []policy.CheckResult
	for i, r := range evaluator().EvaluatePod(level, &after.metadata, &after.spec) { // the same checks in the same order
		if !r.Allowed && had[i].Allowed {
			broken = append(broken, r)
		}
	}

	found := policy.AggregateCheckResults(broken)

	return brief(found.ForbiddenDetail())
}

// maxBroken is how much is said of what breaks a level, in bytes: what four
// checks say of one container, and room in the event for what to do about it.
const maxBroken = 600

// brief is s in one line, cut at a rune.
func brief(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}

		return r
	}, strings.ToValidUTF8(s, ""))

	if len(s) <= maxBroken {
		return s
	}

	n := maxBroken
	for ; !utf8.RuneStart(s[n]); n-- {
	}

	return s[:n] + "..."
}
