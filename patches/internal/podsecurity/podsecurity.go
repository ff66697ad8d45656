// Package podsecurity judges a pod with the API server's own checks of Pod
// Security. It alone imports their library. It is pure.
package podsecurity

import (
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/telltale-dev/telltale/internal/oneline"
)

// Level is a Pod Security level, at a version.
type Level struct{ api.LevelVersion }

// Enforced is the level that the API server holds the pods of a namespace to.
// Where the labels do not say, it is privileged, the API server's own default;
// where they make no sense, restricted, as there.
func Enforced(labels map[string]string) Level {
	p, _ := api.PolicyToEvaluate(labels, api.Policy{
		Enforce: api.LevelVersion{Level: api.LevelPrivileged, Version: api.LatestVersion()},
	})

	return Level{p.Enforce}
}

// Strictest is the strictest level.
func Strictest() Level {
	return Level{api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}}
}

// IsPrivileged is true for the level that allows everything.
func (l Level) IsPrivileged() bool { return l.Level == api.LevelPrivileged }

// evaluator holds the checks of Pod Security: tables of functions, which never
// change.
//
//nolint:gochecknoglobals // a constant that Go can't write as one
var evaluator = sync.OnceValue(func() policy.Evaluator {
	e, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		panic(err) // the library's own checks: its tests hold that they fit together
	}

	return e
})

// Prepare makes the checks ready, so that the first pod does not wait for that.
func Prepare() { evaluator() }

// ReadsAnnotation tells whether a check reads an annotation of a name: those
// that set the AppArmor or seccomp profile of containers. Of all else that an
// Injection can change, checks read volumes and init containers only
// (patches.TestMostAreNotGuarded).
//
// Source: k8s.io/pod-security-admission v0.37.2 policy/check_*.go.
func ReadsAnnotation(key string) bool {
	return strings.HasPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix) ||
		strings.HasPrefix(key, corev1.SeccompContainerAnnotationKeyPrefix) || key == corev1.SeccompPodAnnotationKey
}

// Allows tells whether a pod passes all checks of a level.
func (l Level) Allows(pod *corev1.Pod) bool {
	results := evaluator().EvaluatePod(l.LevelVersion, &pod.ObjectMeta, &pod.Spec)

	return !slices.ContainsFunc(results, func(r policy.CheckResult) bool { return !r.Allowed })
}

// NewlyBroken says in one line, of at most maxBroken bytes, which checks of a
// level a pod breaks after a change and not before, and with what. It is empty
// where there are none.
func (l Level) NewlyBroken(before, after *corev1.Pod) string {
	had := evaluator().EvaluatePod(l.LevelVersion, &before.ObjectMeta, &before.Spec)

	var broken []policy.CheckResult
	for i, r := range evaluator().EvaluatePod(l.LevelVersion, &after.ObjectMeta, &after.Spec) { // the same checks in the same order
		if !r.Allowed && had[i].Allowed {
			broken = append(broken, r)
		}
	}

	found := policy.AggregateCheckResults(broken)

	return oneline.Cut(found.ForbiddenDetail(), maxBroken)
}

// maxBroken leaves room in an event for the cure. Four checks of one container
// fit.
const maxBroken = 600
