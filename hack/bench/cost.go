package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// Namespaces that belong to no candidate.
const (
	unmatched = "unmatched" // there is no Injection
	conflict  = "conflict"  // the Injection is in conflict with the pod
	limited   = "limited"   // a ResourceQuota and a LimitRange judge the pod
	joined    = "joined"    // the Injection joins a value to one that the pod sets
	previewed = "previewed" // the Injection only looks, and would be in conflict

	byOwner      = "by-owner"      // the Injection chooses pods by their Deployment
	byImage      = "by-image"      // by an image
	byAnnotation = "by-annotation" // by an annotation
	sidecars     = "sidecars"      // it is for native sidecars, too
	conflicts    = "conflicts"     // it has a conflict policy for env

	required = "required" // it requires a ConfigMap and a key, which are there
)

// clash makes an Injection also set, as its last variable, one that the pod
// sets.
func clash(in *v1alpha1.Injection) {
	in.Spec.Env = append(in.Spec.Env, v1alpha1.EnvVar{Name: "LOG_LEVEL", Value: "debug"})
}

// join makes an Injection also join its last variable to one that the pod sets.
func join(in *v1alpha1.Injection) {
	in.Spec.Env = append(in.Spec.Env, v1alpha1.EnvVar{Name: "LOG_LEVEL", Value: "debug", Join: &v1alpha1.Join{Separator: ","}})
}

// look makes an Injection change nothing.
func look(in *v1alpha1.Injection) {
	clash(in)
	in.Spec.Mode = v1alpha1.Preview
}

// choices are Injections that choose pods, containers or values one by one, or require
// an object. All inject the same as without.
func choices() map[string]func(*v1alpha1.Injection) {
	return map[string]func(*v1alpha1.Injection){
		byOwner: func(in *v1alpha1.Injection) {
			in.Spec.OwnerSelector = &v1alpha1.OwnerSelector{Include: []v1alpha1.OwnerTerm{{Kind: "Deployment", Name: "*"}}}
		},
		byImage: func(in *v1alpha1.Injection) {
			in.Spec.ImageSelector = &v1alpha1.ImageSelector{Include: []string{"*"}}
		},
		byAnnotation: func(in *v1alpha1.Injection) {
			in.Spec.AnnotationSelector = &v1alpha1.AnnotationSelector{MatchExpressions: []v1alpha1.AnnotationRequirement{
				{Key: "none", Operator: v1alpha1.AnnotationDoesNotExist},
			}}
		},
		sidecars:  func(in *v1alpha1.Injection) { in.Spec.Containers.Sidecars = true },
		conflicts: func(in *v1alpha1.Injection) { in.Spec.OnConflictFor.Env = v1alpha1.Override },
		required: func(in *v1alpha1.Injection) {
			in.Spec.Requires = []v1alpha1.Requirement{{Kind: v1alpha1.RequiredConfigMap, Name: required, Keys: []string{"key"}}}
		},
	}
}

// arm is a candidate that is asked with one review, and its samples: one for
// each round, by the number of connections.
type arm struct {
	name    string
	c       *candidate
	review  []byte
	patches int // expected of the answer: 1 an injection, 0 none, -1 only a record of the failure
	samples map[int][]sample
}

// cost asks each candidate directly. The first arm is the floor.
func (b *bench) cost(ctx context.Context) error {
	failing, err := b.failingReview(ctx)
	if err != nil {
		return err
	}
	arms := []*arm{
		{name: "floor", c: b.own[floor], review: checkout},
		{name: "limit", c: b.own[limit], review: checkout},
		{name: "Telltale, nothing matches", c: b.one.telltale, review: reviewOf(namespaceOf(unmatched))},
		{name: "Telltale, injects", c: b.one.telltale, review: reviewOf(namespaceOf(subject)), patches: 1},
		{name: "Telltale, injects under a quota and limits", c: b.one.telltale, review: reviewOf(namespaceOf(limited)), patches: 1},
		{name: "Telltale, a conflict", c: b.one.telltale, review: failing, patches: -1},
		{name: "Telltale, injects and joins a value", c: b.one.telltale, review: reviewOf(namespaceOf(joined)), patches: 1},
		{name: "Telltale, previews a conflict", c: b.one.telltale, review: reviewOf(namespaceOf(previewed)), patches: -1},
		{name: "textbook, injects", c: b.own[textbook], review: checkout, patches: 1},
	}
	chosen := len(arms)
	for _, name := range slices.Sorted(maps.Keys(choices())) {
		arms = append(arms, &arm{name: "Telltale, injects, " + name, c: b.one.telltale, review: reviewOf(namespaceOf(name)), patches: 1})
	}
	if err := b.measure(arms, 4, 1, 32); err != nil {
		return err
	}
	b.table("Server CPU of one admission, throughput and latency", costTable("the floor", arms, []int{1, 4, 32}))

	floor, idle, injects, judged, failed, joins := arms[0], arms[2], arms[3], arms[4], arms[5], arms[6]
	b.bound("CPU per admission that injects, × the floor", ratios(injects, floor, 4), 1.3)
	b.bound("CPU per admission that nothing matches, × the floor", ratios(idle, floor, 4), 1.15)
	b.bound("CPU of an injection under a quota and limits, × one without", ratios(judged, injects, 4), 1.6)
	b.bound("CPU of a failure instead of an injection, × the injection (no more, but for noise)", ratios(failed, injects, 4), 1.05)
	b.bound("CPU of an injection that joins a value, × one that does not", ratios(joins, injects, 4), 1.15)
	for _, a := range arms[chosen:] {
		b.bound("CPU of an injection, "+strings.TrimPrefix(a.name, "Telltale, injects, ")+", × one without", ratios(a, injects, 4), 1.15)
	}

	return nil
}

// limit makes a quota that asks each container for limits, and a LimitRange that
// sets them: with each injection of a container, both are asked.
func (b *bench) limit(ctx context.Context) error {
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "compute"}}
	quota.Spec.Hard = corev1.ResourceList{
		corev1.ResourceLimitsCPU: resource.MustParse("1000"), corev1.ResourceLimitsMemory: resource.MustParse("1000Gi"),
	}

	quota, err := b.one.api.CoreV1().ResourceQuotas(namespaceOf(limited)).Create(ctx, quota, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("cannot create the quota: %w", err)
	}
	quota.Status.Hard = quota.Spec.Hard // no controller runs here
	if _, err := b.one.api.CoreV1().ResourceQuotas(namespaceOf(limited)).UpdateStatus(ctx, quota, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("cannot write the quota's status: %w", err)
	}
	some := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("1Gi")}
	_, err = b.one.api.CoreV1().LimitRanges(namespaceOf(limited)).Create(ctx, &corev1.LimitRange{
		ObjectMeta: metav1.ObjectMeta{Name: "defaults"},
		Spec:       corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypeContainer, Default: some, DefaultRequest: some}}},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("cannot create the LimitRange: %w", err)
	}

	return nil
}

// provide makes the ConfigMap that an Injection requires.
func (b *bench) provide(ctx context.Context) error {
	_, err := b.one.api.CoreV1().ConfigMaps(namespaceOf(required)).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: required}, Data: map[string]string{"key": "value"},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("cannot create the ConfigMap: %w", err)
	}

	return nil
}

// failingReview is the review of a pod that has a real ReplicaSet, as failing
// pods mostly have.
func (b *bench) failingReview(ctx context.Context) ([]byte, error) {
	pod, err := podOf(checkout)
	if err != nil {
		return nil, err
	}
	none := int32(0)
	owner := pod.OwnerReferences[0]
	replicaSet, err := b.one.api.AppsV1().ReplicaSets(namespaceOf(conflict)).Create(ctx, &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: owner.Name},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: &none, Selector: &metav1.LabelSelector{MatchLabels: pod.Labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels}, Spec: pod.Spec},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("cannot create the ReplicaSet: %w", err)
	}

	return bytes.ReplaceAll(reviewOf(namespaceOf(conflict)), []byte(owner.UID), []byte(replicaSet.UID)), nil
}

// measure lets the arms take turns for some rounds, with some connections.
func (b *bench) measure(arms []*arm, connections ...int) error {
	for _, a := range arms {
		a.samples = map[int][]sample{}
		if err := a.check(); err != nil {
			return err
		}
		if _, err := ask(a.c, a.review, 4, b.round/2, 0); err != nil { // to warm up
			return err
		}
	}
	for k, n := range connections {
		for round := range b.rounds / min(k+1, 2) { // the rows are about the first
			for i := range arms {
				a := arms[(i+round)%len(arms)]
				s, err := ask(a.c, a.review, n, b.round, 0)
				if err != nil {
					return err
				}
				a.samples[n] = append(a.samples[n], s)
			}
		}
	}

	return nil
}

// check is an error unless the candidate does the work that is measured.
func (a *arm) check() error {
	caller, err := dial(a.c.address, a.review, 0)
	if err != nil {
		return err
	}
	defer caller.hangUp()
	response, err := caller.call()
	if err != nil {
		return err
	}
	pod, err := patched(a.review, response)
	if err != nil {
		return err
	}
	has, err := injected(pod)
	if err != nil {
		return err
	}
	failed := pod != nil && pod.Annotations[v1alpha1.FailedAnnotation]+pod.Annotations[v1alpha1.PreviewedAnnotation] != ""
	if has != (a.patches > 0) || failed != (a.patches < 0) || pod == nil != (a.patches == 0) {
		return fmt.Errorf("%s does not do what it should: it answers %s", a.name, response)
	}

	return nil
}
