package patches

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/internal/edit"
	"github.com/telltale-dev/telltale/patches/internal/podsecurity"
)

// doubts are the judgements that need the whole pod. Without a doubt, a look at
// the Injection's own parts has shown that nothing can be wrong.
type doubts struct{ validity, security bool }

func (d doubts) or(o doubts) doubts {
	return doubts{validity: d.validity || o.validity, security: d.security || o.security}
}

func (d *draft) doubtsOf(p *plan) doubts {
	if len(p.changes) == 0 {
		return doubts{}
	}

	return doubts{validity: d.doubtsValidity(p), security: d.doubtsSecurity(p)}
}

// doubtsValidity tells whether a plan's changes may not go with other fields of
// the pod.
func (d *draft) doubtsValidity(p *plan) bool {
	if _, isMirror := d.pod.Annotations[corev1.MirrorPodAnnotationKey]; isMirror || p.in.risks.validity {
		return true
	}

	spec := &d.pod.Spec

	return slices.ContainsFunc(p.changes, func(c change) bool {
		switch l := &d.edits.Lists[c.list]; l.Kind {
		case edit.Mount:
			return c.swap || len(l.Container.VolumeDevices) > 0
		case edit.Volume:
			return c.swap
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
func (d *draft) doubtsSecurity(p *plan) bool {
	level := d.matches[p.match].namespace.enforced()
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

// annotations are the pod's, as drafted.
func (d *draft) annotations() map[string]string {
	additions := d.edits.PodList(edit.Annotation).All()
	if len(additions) == 0 {
		return d.pod.Annotations
	}

	all := maps.Clone(d.pod.Annotations)
	if all == nil {
		all = map[string]string{}
	}

	for _, a := range additions {
		if v, ok := a.Value.(string); ok {
			all[a.Key] = v
		}
	}

	return all
}

// enforced is the Pod Security level that the API server holds the namespace's
// pods to. Of a namespace that is not known it is the strictest there is.
func (ns Namespace) enforced() podsecurity.Level {
	if !ns.Known {
		return podsecurity.Strictest()
	}

	return podsecurity.Enforced(ns.Labels)
}
