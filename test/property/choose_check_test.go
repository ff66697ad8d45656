package property

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// chooses tells in other words than patches whether the selectors of an Injection that
// look at more than labels take a pod.
func chooses(s v1alpha1.InjectionSpec, pod *corev1.Pod) bool {
	return choosesOwner(s.OwnerSelector, pod) && choosesImage(s.ImageSelector, pod) && choosesAnnotations(s.AnnotationSelector, pod.Annotations)
}

func isLike(glob, text string) bool {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(glob), `\*`, "(?s:.*)") + "$").MatchString(text)
}

// jobOfCron is the name of a CronJob's Job, which ends in the minutes since 1970.
var jobOfCron = regexp.MustCompile(`^(.+)-\d{8}$`)

func choosesOwner(s *v1alpha1.OwnerSelector, pod *corev1.Pod) bool {
	if s == nil {
		return true
	}

	owners := map[string]string{}

	if by := metav1.GetControllerOf(pod); by != nil {
		owners[by.Kind] = by.Name

		hash := pod.Labels["pod-template-hash"]
		if by.Kind == "ReplicaSet" && hash != "" && strings.HasSuffix(by.Name, "-"+hash) {
			owners["Deployment"] = strings.TrimSuffix(by.Name, "-"+hash)
		}

		if m := jobOfCron.FindStringSubmatch(by.Name); by.Kind == "Job" && m != nil {
			owners["CronJob"] = m[1]
		}
	}

	is := func(t v1alpha1.OwnerTerm) bool {
		return owners[t.Kind] != "" && isLike(cmp.Or(t.Name, "*"), owners[t.Kind])
	}

	return (len(s.Include) == 0 || slices.ContainsFunc(s.Include, is)) && !slices.ContainsFunc(s.Exclude, is)
}

func choosesImage(s *v1alpha1.ImageSelector, pod *corev1.Pod) bool {
	if s == nil {
		return true
	}

	has := func(glob string) bool {
		return slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return isLike(glob, c.Image) })
	}

	return (len(s.Include) == 0 || slices.ContainsFunc(s.Include, has)) && !slices.ContainsFunc(s.Exclude, has)
}

func choosesAnnotations(s *v1alpha1.AnnotationSelector, of map[string]string) bool {
	if s == nil {
		return true
	}

	for key, want := range s.MatchAnnotations {
		if value, has := of[key]; !has || value != want {
			return false
		}
	}

	return !slices.ContainsFunc(s.MatchExpressions, func(r v1alpha1.AnnotationRequirement) bool {
		value, has := of[r.Key]
		is := has && slices.Contains(r.Values, value)

		return !map[v1alpha1.AnnotationOperator]bool{
			v1alpha1.AnnotationIn: is, v1alpha1.AnnotationNotIn: !is, v1alpha1.AnnotationExists: has, v1alpha1.AnnotationDoesNotExist: !has,
		}[r.Operator]
	})
}

// onConflict is what decides about conflicts in a field of a spec.
func onConflict(s v1alpha1.InjectionSpec, field string) v1alpha1.ConflictPolicy {
	return cmp.Or(map[string]v1alpha1.ConflictPolicy{
		"env": s.OnConflictFor.Env, "volumeMounts": s.OnConflictFor.VolumeMounts, "initContainers": s.OnConflictFor.InitContainers,
		"labels": s.OnConflictFor.Labels, "annotations": s.OnConflictFor.Annotations,
	}[field], s.OnConflict)
}

// overrides tells whether a spec overrides anything.
func overrides(s v1alpha1.InjectionSpec) bool {
	return slices.ContainsFunc([]string{"", "env", "volumeMounts", "initContainers", "labels", "annotations"}, func(field string) bool {
		return onConflict(s, field) == v1alpha1.Override
	})
}
