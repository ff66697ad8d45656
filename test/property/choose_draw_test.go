package property

import "github.com/telltale-dev/telltale/patches/v1alpha1"

// choosy has some Injections choose pods by more than labels, and containers and
// conflict policies one by one.
func (d dice) choosy(s *v1alpha1.InjectionSpec) {
	if d.chance(10) {
		s.OwnerSelector = &v1alpha1.OwnerSelector{Include: some(d, 3, func(int) v1alpha1.OwnerTerm { return d.ownerTerm() })}
		if d.chance(40) {
			s.OwnerSelector.Exclude = []v1alpha1.OwnerTerm{d.ownerTerm()}
		}
	}

	if d.chance(10) {
		s.ImageSelector = &v1alpha1.ImageSelector{Include: some(d, 3, func(int) string { return d.imageGlob() })}
		if d.chance(30) {
			s.ImageSelector.Exclude = []string{d.imageGlob()}
		}
	}

	if d.chance(10) {
		s.AnnotationSelector = &v1alpha1.AnnotationSelector{MatchExpressions: some(d, 2, func(int) v1alpha1.AnnotationRequirement {
			return d.annotationRequirement()
		})}
		if d.chance(20) {
			s.AnnotationSelector.MatchAnnotations = map[string]string{pick(d, "note", "example.com/a"): pick(d, "", "x", "{\"a\": 1}\n")}
		}
	}

	s.Containers.Sidecars = d.chance(15)

	if d.chance(15) {
		for _, p := range []*v1alpha1.ConflictPolicy{
			&s.OnConflictFor.Env, &s.OnConflictFor.VolumeMounts, &s.OnConflictFor.InitContainers, &s.OnConflictFor.Labels, &s.OnConflictFor.Annotations,
		} {
			*p = pick(d, "", v1alpha1.Skip, v1alpha1.KeepPod, v1alpha1.Override)
		}
	}
}

func (d dice) ownerTerm() v1alpha1.OwnerTerm {
	return v1alpha1.OwnerTerm{
		Kind: pick(d, "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"), Name: pick(d, "", "*", "owner", "own*r", "other-*"),
	}
}

func (d dice) imageGlob() string {
	return pick(d, "*", "a", "registry.example/*", "*:1", "app@sha256:*", "*/other:*")
}

func (d dice) annotationRequirement() v1alpha1.AnnotationRequirement {
	r := v1alpha1.AnnotationRequirement{
		Key:      pick(d, "note", "example.com/a", "prometheus.io/scrape"),
		Operator: pick(d, v1alpha1.AnnotationIn, v1alpha1.AnnotationNotIn, v1alpha1.AnnotationExists, v1alpha1.AnnotationDoesNotExist),
	}
	if r.Operator == v1alpha1.AnnotationIn || r.Operator == v1alpha1.AnnotationNotIn {
		r.Values = []string{pick(d, "", "x"), "{\"a\": 1}\n"}
	}

	return r
}
