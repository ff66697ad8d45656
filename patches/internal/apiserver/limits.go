package apiserver

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	quota "k8s.io/apiserver/pkg/quota/v1"
	podutil "k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/core"
	v1 "k8s.io/kubernetes/pkg/apis/core/v1"
	podevaluator "k8s.io/kubernetes/pkg/quota/v1/evaluator/core"
	"k8s.io/kubernetes/plugin/pkg/admission/limitranger"
	"k8s.io/utils/clock"
)

// Rules are those of a namespace that judge the resources of its pods.
type Rules struct {
	Limits []*corev1.LimitRange
	Quotas []*corev1.ResourceQuota
}

// Limited are the refusals of a pod by Rules.
type Limited struct {
	// By has the error of each LimitRange and ResourceQuota that refuses the
	// pod, by its title: `ResourceQuota "compute"`.
	By map[string]error
	// Order are the keys of By, in the order in which the API server asks.
	Order []string
	// Invalid is what validation has against the pod once LimitRanges have set
	// their defaults.
	Invalid field.ErrorList

	pod    *core.Pod // with the defaults of LimitRanges
	quotas map[string]*corev1.ResourceQuota
}

// None tells whether nothing refuses the pod.
func (l Limited) None() bool { return len(l.Order)+len(l.Invalid) == 0 }

// Blamed says what refuses a changed pod and did not refuse it
// before; it is empty where there is nothing. It holds no value of an env var.
func (l Limited) Blamed(before Limited) string {
	for _, title := range l.Order {
		if before.By[title] == nil {
			return fmt.Sprintf("%s refuses the pod: %v", title, l.By[title])
		}
	}

	if blamed := Blamed(before.Invalid, l.Invalid); blamed != nil {
		return "with the defaults of the namespace's LimitRanges the pod would not be valid: " + Describe(blamed)
	}

	return ""
}

// Unset is for a changed pod that the first to blame is a ResourceQuota for, only
// because containers that it did not have before set no resources. It returns the
// quota's title, and the resources that each of these containers should set.
func (l Limited) Unset(before Limited) (title string, resources map[string][]string) {
	i := slices.IndexFunc(l.Order, func(title string) bool { return before.By[title] == nil })
	if i < 0 || l.quotas[l.Order[i]] == nil || before.pod == nil {
		return "", nil
	}

	title, resources = l.Order[i], map[string][]string{}
	for _, c := range slices.Concat(l.pod.Spec.InitContainers, l.pod.Spec.Containers) {
		lacks := unset(l.quotas[title], c)
		if len(lacks) > 0 && has(before.pod, c.Name) {
			return "", nil // to set those of the new ones is not enough
		}

		if len(lacks) > 0 {
			resources[c.Name] = lacks
		}
	}

	return title, resources
}

// unset are the resources that a quota wants a container to set.
func unset(q *corev1.ResourceQuota, c core.Container) (lacks []string) {
	alone := &core.Pod{Spec: core.PodSpec{Containers: []core.Container{c}}}
	for _, name := range slices.Sorted(slices.Values(quota.ResourceNames(q.Status.Hard))) {
		if evaluator().Constraints([]corev1.ResourceName{name}, alone) != nil {
			lacks = append(lacks, string(name))
		}
	}

	return lacks
}

func has(pod *core.Pod, container string) bool {
	is := func(c core.Container) bool { return c.Name == container }

	return slices.ContainsFunc(pod.Spec.InitContainers, is) || slices.ContainsFunc(pod.Spec.Containers, is)
}

// Limit judges the resources of a pod that has its defaults: LimitRanges add
// theirs, then they judge the pod, then validation does, then ResourceQuotas. The
// usage of a quota is not judged: it changes before the API server looks at it.
//
// Source: k8s.io/kubernetes v1.37.2 plugin/pkg/admission/limitranger/admission.go,
// and checkRequest in k8s.io/apiserver v0.37.2
// pkg/admission/plugin/resourcequota/controller.go: the same steps.
func (r Rules) Limit(pod *corev1.Pod) Limited {
	var internal core.Pod

	limited := Limited{By: map[string]error{}, pod: &internal, quotas: map[string]*corev1.ResourceQuota{}}
	refuse := func(title string, err error) {
		if err != nil {
			limited.By[title] = err
			limited.Order = append(limited.Order, title)
		}
	}

	if err := v1.Convert_v1_Pod_To_core_Pod(pod.DeepCopy(), &internal, nil); err != nil {
		return Limited{Invalid: field.ErrorList{field.InternalError(nil, err)}}
	}

	podutil.DropDisabledPodFields(&internal, nil)
	podutil.DefaultPodLevelResources(&internal)

	for _, l := range r.Limits {
		refuse(fmt.Sprintf("LimitRange %q", l.Name), limitranger.PodMutateLimitFunc(l, &internal))
	}

	for _, l := range r.Limits {
		refuse(fmt.Sprintf("LimitRange %q", l.Name), limitranger.PodValidateLimitFunc(l, &internal))
	}

	if len(r.Limits) > 0 {
		limited.Invalid = validate(&internal)
	}

	for _, q := range r.Quotas {
		if matches, err := evaluator().Matches(q, &internal); err == nil && matches {
			title := fmt.Sprintf("ResourceQuota %q", q.Name)
			limited.quotas[title] = q
			refuse(title, constraints(q, &internal))
		}
	}

	return limited
}

// JudgeWhole tells whether a rule looks at more than each container by itself: at
// the sum of all, or at the scope that the pod belongs to.
func (r Rules) JudgeWhole() bool {
	return slices.ContainsFunc(r.Quotas, func(q *corev1.ResourceQuota) bool {
		return len(q.Spec.Scopes) > 0 || q.Spec.ScopeSelector != nil
	}) || slices.ContainsFunc(r.Limits, func(l *corev1.LimitRange) bool {
		return slices.ContainsFunc(l.Spec.Limits, func(item corev1.LimitRangeItem) bool { return item.Type == corev1.LimitTypePod })
	})
}

// Allow tells whether no rule refuses a pod that has containers with these
// resources, and no others. Nothing else of the containers counts.
func (r Rules) Allow(containers []corev1.Container) bool {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "sample", Namespace: "sample"}}
	for _, c := range containers {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: c.Name, Image: "sample", Resources: *c.Resources.DeepCopy()})
	}

	SetDefaults(pod)

	return r.Limit(pod).None()
}

// evaluator asks no clock for what we ask of it, and no lister.
func evaluator() quota.Evaluator { return podevaluator.NewPodEvaluator(nil, clock.RealClock{}) }

func constraints(q *corev1.ResourceQuota, pod *core.Pod) error {
	return evaluator().Constraints(evaluator().MatchingResources(quota.ResourceNames(q.Status.Hard)), pod)
}

// LimitJudges tells whether a LimitRange has an item for pods or containers.
func LimitJudges(l *corev1.LimitRange) bool {
	return slices.ContainsFunc(l.Spec.Limits, func(item corev1.LimitRangeItem) bool {
		return item.Type == corev1.LimitTypeContainer || item.Type == corev1.LimitTypePod
	})
}

// QuotaJudges tells whether a ResourceQuota refuses a container without any
// resources: one that does not, refuses none.
func QuotaJudges(q *corev1.ResourceQuota) bool {
	return constraints(q, &core.Pod{Spec: core.PodSpec{Containers: []core.Container{{}}}}) != nil
}
