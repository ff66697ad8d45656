package property

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/pod-security-admission/api"
)

// law is what judges the pods of a namespace beside validation.
type law struct {
	Security map[string]string          `json:"security,omitempty"` // labels of the namespace
	Quotas   []corev1.ResourceQuotaSpec `json:"quotas,omitempty"`
	Limits   []corev1.LimitRangeSpec    `json:"limits,omitempty"`
	// ConfigMaps are those that are there, with their keys.
	ConfigMaps map[string][]string `json:"configMaps,omitempty"`
}

func (d dice) law() law {
	l := law{ConfigMaps: d.configMaps()}

	if d.draws.has(quotas) && d.chance(40) {
		for range 1 + d.IntN(2) {
			l.Quotas = append(l.Quotas, d.quota())
		}
	}

	if d.draws.has(limits) && d.chance(30) {
		l.Limits = d.limits()
	}

	if d.draws.has(security) && d.chance(30) {
		l.Security = map[string]string{api.EnforceLevelLabel: string(pick(d, api.LevelPrivileged, api.LevelBaseline, api.LevelRestricted))}
		if d.chance(60) {
			l.Security[api.EnforceVersionLabel] = pick(d, "latest", "v1.0", "v1.19", "v1.25", "v1.36")
		}
	}

	return l
}

// quota makes one that is never used up.
func (d dice) quota() corev1.ResourceQuotaSpec {
	q := corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("1e9")}}

	if d.chance(15) { // which allows no other resource
		q.Scopes = []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeBestEffort}

		return q
	}

	if d.chance(40) {
		q.Scopes = []corev1.ResourceQuotaScope{pick(d, corev1.ResourceQuotaScopeNotBestEffort, corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating)}
	}

	if d.chance(10) {
		q.ScopeSelector = &corev1.ScopeSelector{MatchExpressions: []corev1.ScopedResourceSelectorRequirement{{
			ScopeName: corev1.ResourceQuotaScopePriorityClass, Operator: corev1.ScopeSelectorOpIn, Values: []string{"system-node-critical"},
		}}}
	}

	all := []corev1.ResourceName{
		corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory,
		corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceRequestsEphemeralStorage, corev1.ResourceLimitsEphemeralStorage,
	}
	if len(q.Scopes) > 0 || q.ScopeSelector != nil {
		all = all[:6] // scopes don't go with the others
	}

	for range 1 + d.IntN(3) {
		q.Hard[pick(d, all...)] = resource.MustParse("4Ei")
	}

	return q
}

// limits makes LimitRanges of what containers that fit may have, or pods. Only
// one has defaults: of several, the API server takes any first.
func (d dice) limits() []corev1.LimitRangeSpec {
	of := func(percent int, cpu, memory string) corev1.ResourceList {
		l := corev1.ResourceList{}
		if d.chance(percent) {
			l[corev1.ResourceCPU] = resource.MustParse(cpu)
		}

		if d.chance(percent) {
			l[corev1.ResourceMemory] = resource.MustParse(memory)
		}

		return l
	}
	container := corev1.LimitRangeItem{
		Type: corev1.LimitTypeContainer,
		Min:  of(30, "10m", "1Mi"), DefaultRequest: of(40, "250m", "32Mi"), Default: of(50, "500m", "64Mi"), Max: of(40, "4", "1Gi"),
		MaxLimitRequestRatio: of(20, pick(d, "1", "2", "8"), pick(d, "1", "4")),
	}
	pod := corev1.LimitRangeItem{
		Type: corev1.LimitTypePod,
		Min:  of(20, "20m", "2Mi"), Max: of(50, "8", "4Gi"), MaxLimitRequestRatio: of(20, "4", "4"),
	}

	return pick(d,
		[]corev1.LimitRangeSpec{{Limits: []corev1.LimitRangeItem{container}}},
		[]corev1.LimitRangeSpec{{Limits: []corev1.LimitRangeItem{container, pod}}},
		[]corev1.LimitRangeSpec{{Limits: []corev1.LimitRangeItem{container}}, {Limits: []corev1.LimitRangeItem{pod}}},
		[]corev1.LimitRangeSpec{{Limits: []corev1.LimitRangeItem{pod}}},
	)
}

// abide makes most pods such that a namespace's law lets them in.
func (d dice) abide(p *corev1.Pod, l law) {
	if len(l.Quotas)+len(l.Limits) > 0 && d.chance(85) {
		d.askForAll(p)
	}

	if l.Security[api.EnforceLevelLabel] != "" && l.Security[api.EnforceLevelLabel] != string(api.LevelPrivileged) && d.chance(85) {
		asHarmless(p)
	}
}

// askForAll has each container ask for what a quota may want, or none of them
// for anything.
func (d dice) askForAll(p *corev1.Pod) {
	p.Spec.Resources = nil
	want := corev1.ResourceRequirements{Requests: corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("500m"), corev1.ResourceMemory: resource.MustParse("64Mi"), corev1.ResourceEphemeralStorage: resource.MustParse("64Mi"),
	}}
	want.Limits = want.Requests

	if d.chance(25) {
		want = corev1.ResourceRequirements{}
	}

	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			list[i].Resources = corev1.ResourceRequirements{Requests: want.Requests.DeepCopy(), Limits: want.Limits.DeepCopy(), Claims: list[i].Resources.Claims}
		}
	}
}

// asHarmless makes a pod that every Pod Security level allows, if it is for
// Linux.
func asHarmless(p *corev1.Pod) {
	s := &p.Spec
	s.HostNetwork, s.HostPID, s.HostIPC, s.HostUsers = false, false, false, nil
	s.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
	p.Annotations = nil

	var replaced []string

	for i := range s.Volumes {
		v := &s.Volumes[i].VolumeSource
		if v.ConfigMap == nil && v.Secret == nil && v.Projected == nil && v.DownwardAPI == nil && v.PersistentVolumeClaim == nil && v.Ephemeral == nil && v.CSI == nil && v.EmptyDir == nil {
			*v = corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
			replaced = append(replaced, s.Volumes[i].Name)
		}
	}

	for _, list := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range list {
			list[i].SecurityContext = &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}
			list[i].VolumeDevices = slices.DeleteFunc(list[i].VolumeDevices, func(v corev1.VolumeDevice) bool { return slices.Contains(replaced, v.Name) })

			for j := range list[i].Ports {
				list[i].Ports[j].HostPort = 0
			}
		}
	}
}

// quotas returns the ResourceQuotas of a namespace.
func (l law) quotas() (all []*corev1.ResourceQuota) {
	for i, spec := range l.Quotas {
		q := &corev1.ResourceQuota{Spec: spec, Status: corev1.ResourceQuotaStatus{Hard: spec.Hard}}
		q.Name = fmt.Sprintf("quota-%d", i)
		all = append(all, q)
	}

	return all
}

// limits returns the LimitRanges of a namespace.
func (l law) limits() (all []*corev1.LimitRange) {
	for i, spec := range l.Limits {
		r := &corev1.LimitRange{Spec: spec}
		r.Name = fmt.Sprintf("limits-%d", i)
		all = append(all, r)
	}

	return all
}
