package patches

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/internal/apiserver"
	"github.com/telltale-dev/telltale/patches/internal/edit"
	"github.com/telltale-dev/telltale/patches/internal/podsecurity"
)

// doubts says which judgements a plan needs.
func (p *plan) doubts(d *draft) doubts {
	if len(p.changes) == 0 {
		return doubts{}
	}

	return doubts{validity: p.doubtsValidity(d), security: p.doubtsSecurity(d), limits: p.doubtsLimits(d)}
}

// doubtsValidity tells whether a plan's changes may not go with other fields of
// the pod.
func (p *plan) doubtsValidity(d *draft) bool {
	if p.in.risks.validity {
		return true
	}

	spec := &d.pod.Spec

	return slices.ContainsFunc(p.changes, func(c change) bool {
		switch l := &d.edits.Lists[c.list]; l.Kind {
		case edit.Mount:
			return c.swap || len(l.Container.VolumeDevices) > 0
		case edit.InitContainer:
			return c.swap || len(spec.OS)+len(spec.Resources) > 0 || spec.HostNetwork
		default:
			return false
		}
	}) || slices.ContainsFunc(p.in.risks.profiles, func(key string) bool { return d.pod.Annotations[key] != "" })
}

// doubtsSecurity tells whether a plan may make the pod break a check of the
// namespace's Pod Security level. Mostly a look at the additions, as a pod of
// their own, is enough: the rest of a pod can only loosen a check for them, or
// break the check alone (TestForbiddenIsExact).
func (p *plan) doubtsSecurity(d *draft) bool {
	level := enforced(d.matches[p.match].namespace)
	if !p.in.risks.security || level.IsPrivileged() {
		return false
	}

	added := &corev1.Pod{}
	added.Annotations = d.annotations()

	for _, c := range p.changes {
		switch v := c.item.Value.(type) {
		case *corev1.Volume:
			added.Spec.Volumes = append(added.Spec.Volumes, *v)
		case *corev1.Container:
			added.Spec.InitContainers = append(added.Spec.InitContainers, *v)
		case string:
			if d.edits.Lists[c.list].Kind == edit.Annotation && podsecurity.ReadsAnnotation(c.item.Key) {
				return true // a profile for a container that is not among the additions
			}
		}
	}

	return len(added.Spec.Volumes)+len(added.Spec.InitContainers) > 0 && !level.Allows(added)
}

// doubtsLimits tells whether a LimitRange or a ResourceQuota may refuse the pod
// with a plan. Most of their rules are for each container by itself, so a look at
// the additions, as a pod of their own, is enough (FuzzLimits).
func (p *plan) doubtsLimits(d *draft) bool {
	ns := d.matches[p.match].namespace
	if len(ns.Limits)+len(ns.Quotas) == 0 {
		return false
	}

	var added []corev1.Container

	for _, c := range p.changes {
		if container, ok := c.item.Value.(*corev1.Container); ok {
			added = append(added, *container)
		}
	}

	return len(added) > 0 && (rulesOf(ns).JudgeWhole() || !rulesOf(ns).Allow(added))
}

func rulesOf(ns Namespace) apiserver.Rules {
	return apiserver.Rules{Limits: ns.Limits, Quotas: ns.Quotas}
}

// enforced is the Pod Security level that the API server holds the namespace's
// pods to. Of a namespace that is not known it is the strictest there is.
func enforced(ns Namespace) podsecurity.Level {
	if !ns.Known {
		return podsecurity.Strictest()
	}

	return podsecurity.Enforced(ns.Labels)
}
