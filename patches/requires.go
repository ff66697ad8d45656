package patches

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// Required is a ConfigMap or a Secret that an Injection requires in the namespace of
// each pod, and the keys that it must have.
type Required struct {
	Kind, Name string
	Keys       []string

	isReference bool // the Injection itself names it
}

// String is `ConfigMap "corp-ca"`.
func (r Required) String() string { return fmt.Sprintf("%s %q", r.Kind, r.Name) }

// Sight is what is known of an object that is required.
type Sight int

const (
	// Unseen is an object that can't be looked at. It counts as there.
	Unseen Sight = iota
	// Seen is one that is there, with all keys, as far as these can be told.
	Seen
	// Gone is one that is not there.
	Gone
	// Keyless is one that is there, and lacks a key.
	Keyless
	// Unloaded is one that is not known yet.
	Unloaded
)

// Objects knows ConfigMaps and Secrets.
type Objects interface {
	// Look tells what is known of an object in a namespace, and, if it is Keyless, the
	// first key that it lacks. It must not wait.
	Look(namespace string, r Required) (s Sight, key string)
}

// Required returns the objects that the Injection requires, each once; nil for most.
func (in *Injection) Required() []Required { return in.required }

// Look tells what is known of an object in the namespace of the pod.
func (m *Match) Look(r Required) (s Sight, key string) {
	if m.namespace.Objects == nil {
		return Unseen, ""
	}

	return m.namespace.Objects.Look(m.namespace.Name, r)
}

// unmet is the failure of an Injection that requires an object which is not there,
// or which is not known yet; nil if there is none.
func unmet(m Match) *Failure {
	for _, r := range m.required {
		reason, text := r.verdict(m)
		if reason != "" {
			return &Failure{Injection: m.Injection, Reason: reason, Text: text}
		}
	}

	return nil
}

func (r Required) verdict(m Match) (reason Reason, text string) {
	cure := ", or take it out of the Injection's requires."
	if r.isReference {
		cure = ", or set optional: true where the Injection names it."
	}

	switch s, key := m.Look(r); s {
	case Gone:
		return Unmet, fmt.Sprintf("%s is not in namespace %s. Create it there%s", r, m.namespace.Name, cure)
	case Keyless:
		return Unmet, fmt.Sprintf("%s in namespace %s has no key %q. Add it there%s", r, m.namespace.Name, key, cure)
	case Unloaded:
		return NotLoaded, fmt.Sprintf("it is not known yet whether %s is in namespace %s. Restart the pod.", r, m.namespace.Name)
	default:
		return "", ""
	}
}

// requiredOf returns what a spec requires, in its order. An object that is required
// more than once is there once, with all keys.
func requiredOf(s *v1alpha1.InjectionSpec) (all []Required) {
	add := func(r Required) {
		at := slices.IndexFunc(all, func(o Required) bool { return o.Kind == r.Kind && o.Name == r.Name })
		if at < 0 {
			at, all = len(all), append(all, Required{Kind: r.Kind, Name: r.Name, isReference: r.isReference})
		}

		for _, key := range r.Keys {
			if !slices.Contains(all[at].Keys, key) {
				all[at].Keys = append(all[at].Keys, key)
			}
		}

		all[at].isReference = all[at].isReference && r.isReference
	}

	for _, r := range s.Requires {
		if r.Kind != v1alpha1.RequiredReferences {
			add(Required{Kind: string(r.Kind), Name: r.Name, Keys: r.Keys})

			continue
		}

		for _, o := range referencesOf(s) {
			if !o.optional {
				add(Required{Kind: o.kind, Name: o.name, Keys: o.keys, isReference: true})
			}
		}
	}

	return all
}

// referencesOf are the objects that a spec names, but for those that hold credentials
// for images or for storage: a pod does not wait for these, or not by their names.
func referencesOf(s *v1alpha1.InjectionSpec) (all []reference) {
	pod := podOf(s)

	for _, containers := range [...]*[]corev1.Container{&pod.Spec.Containers, &pod.Spec.InitContainers} {
		for i := range *containers {
			all = append(all, ofOneContainer(&(*containers)[i])...)
		}
	}

	for i := range s.Volumes {
		all = append(all, ofVolume(&s.Volumes[i], nil)...)
	}

	return all
}

func ofOneContainer(c *corev1.Container) (all []reference) {
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil {
			all = append(all, ofEnv(from, nil)...)
		}
	}

	for i := range c.EnvFrom {
		all = append(all, ofEnvFrom(&c.EnvFrom[i], nil)...)
	}

	return all
}

// requirement checks what the API server checks when an Injection is applied.
func (c *checks) requirement(i int, r v1alpha1.Requirement) {
	switch r.Kind {
	case v1alpha1.RequiredReferences:
		if r.Name != "" || len(r.Keys) > 0 {
			c.add("spec.requires[%d]: References takes no name and no keys", i)
		}
	case v1alpha1.RequiredConfigMap, v1alpha1.RequiredSecret:
		if r.Name == "" {
			c.add("spec.requires[%d] has no name", i)
		}
	default:
		c.add("spec.requires[%d]: the kind %q can't be required: use ConfigMap, Secret or References", i, r.Kind)
	}
}
