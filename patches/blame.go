package patches

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/telltale-dev/telltale/patches/internal/edit"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// Blame tells which Injections on a pod that exists a fault of a part of it comes
// from. The pod's own parts are nobody's.
type Blame struct {
	pod   *corev1.Pod
	on    []*Injection
	added map[string][]*Injection // init containers, by name
}

// NewBlame is for a pod, in both forms, and the Injections that it has.
func NewBlame(p *Pod, pod *corev1.Pod, on []*Injection) *Blame {
	b := &Blame{pod: pod, on: on, added: map[string][]*Injection{}}

	l := edit.New(p).PodList(edit.InitContainer)
	for _, in := range on {
		for i := range in.items[edit.InitContainer] {
			it := &in.items[edit.InitContainer][i]

			// With KeepPod, one of another content is the pod's own.
			if at, found := l.Find(it.Key); found && (in.onConflict != v1alpha1.KeepPod || l.Is(at, it)) {
				b.added[it.Key] = append(b.added[it.Key], in)
			}
		}
	}

	return b
}

// OfContainer returns the Injections that an init container comes from.
func (b *Blame) OfContainer(name string) []*Injection { return b.added[name] }

// OfVolume returns the Injections that a volume comes from.
func (b *Blame) OfVolume(name string) []*Injection { return b.with(edit.Volume, name) }

// Object is a Secret or a ConfigMap in the pod's namespace, or one key of it.
type Object struct{ Kind, Name, Key string }

// OfObject returns the Injections that name an object which the pod can't start
// without. They are none if the pod itself names it, too.
func (b *Blame) OfObject(o Object) (blamed []*Injection) {
	for _, r := range b.references() {
		switch {
		case r.kind != o.Kind || r.name != o.Name || r.optional || o.Key != "" && !slices.Contains(r.keys, o.Key):
			continue
		case len(r.by) == 0:
			return nil
		}

		for _, in := range r.by {
			if !slices.Contains(blamed, in) {
				blamed = append(blamed, in)
			}
		}
	}

	return blamed
}

// reference is a part of a pod that names an object.
type reference struct {
	by         []*Injection // none: the pod itself
	kind, name string
	keys       []string // that must be there
	optional   bool
}

// references are those of all containers and volumes.
func (b *Blame) references() (all []reference) {
	for i := range b.pod.Spec.InitContainers {
		all = append(all, b.ofContainer(&b.pod.Spec.InitContainers[i], true)...)
	}

	for i := range b.pod.Spec.Containers {
		all = append(all, b.ofContainer(&b.pod.Spec.Containers[i], false)...)
	}

	for i := range b.pod.Spec.Volumes {
		v := &b.pod.Spec.Volumes[i]
		all = append(all, ofVolume(v, b.OfVolume(v.Name))...)
	}

	return all
}

func (b *Blame) ofContainer(c *corev1.Container, isInit bool) (all []reference) {
	var added []*Injection
	if isInit {
		added = b.added[c.Name]
	}

	by := func(is func(*Injection) bool) []*Injection {
		if len(added) > 0 {
			return added
		}

		return slices.DeleteFunc(slices.Clone(b.on), func(in *Injection) bool { return !in.reaches(c.Name, isInit) || !is(in) })
	}

	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil {
			all = append(all, ofEnv(from, by(func(in *Injection) bool { return sets(in, &c.Env[i]) }))...)
		}
	}

	for _, from := range c.EnvFrom {
		all = append(all, ofEnvFrom(&from, by(func(in *Injection) bool { return has(in, edit.EnvFrom, string(edit.Encode(from))) }))...)
	}

	return all
}

func ofEnv(from *corev1.EnvVarSource, by []*Injection) []reference {
	switch s, c := from.SecretKeyRef, from.ConfigMapKeyRef; {
	case s != nil:
		return []reference{{by, secret, s.Name, []string{s.Key}, isTrue(s.Optional)}}
	case c != nil:
		return []reference{{by, configMap, c.Name, []string{c.Key}, isTrue(c.Optional)}}
	default:
		return nil
	}
}

func ofEnvFrom(from *corev1.EnvFromSource, by []*Injection) []reference {
	switch s, c := from.SecretRef, from.ConfigMapRef; {
	case s != nil:
		return []reference{{by, secret, s.Name, nil, isTrue(s.Optional)}}
	case c != nil:
		return []reference{{by, configMap, c.Name, nil, isTrue(c.Optional)}}
	default:
		return nil
	}
}

func ofVolume(v *corev1.Volume, by []*Injection) (all []reference) {
	if s := v.Secret; s != nil {
		all = append(all, reference{by, secret, s.SecretName, keysOf(s.Items), isTrue(s.Optional)})
	}

	if c := v.ConfigMap; c != nil {
		all = append(all, reference{by, configMap, c.Name, keysOf(c.Items), isTrue(c.Optional)})
	}

	if v.Projected == nil {
		return all
	}

	for _, p := range v.Projected.Sources {
		if s := p.Secret; s != nil {
			all = append(all, reference{by, secret, s.Name, keysOf(s.Items), isTrue(s.Optional)})
		}

		if c := p.ConfigMap; c != nil {
			all = append(all, reference{by, configMap, c.Name, keysOf(c.Items), isTrue(c.Optional)})
		}
	}

	return all
}

// The kinds of objects.
const secret, configMap = "Secret", "ConfigMap"

func keysOf(items []corev1.KeyToPath) (keys []string) {
	for _, i := range items {
		keys = append(keys, i.Key)
	}

	return keys
}

func isTrue(b *bool) bool { return b != nil && *b }

func (b *Blame) with(k edit.Kind, key string) (found []*Injection) {
	for _, in := range b.on {
		if has(in, k, key) {
			found = append(found, in)
		}
	}

	return found
}

// has tells whether an Injection adds an element of this key.
func has(in *Injection, k edit.Kind, key string) bool {
	return slices.ContainsFunc(in.items[k], func(it edit.Item) bool { return it.Key == key })
}

// sets tells whether an env var is as an Injection declares it.
func sets(in *Injection, e *corev1.EnvVar) bool {
	return slices.ContainsFunc(in.items[edit.Env], func(it edit.Item) bool {
		declared, ok := it.Value.(corev1.EnvVar)

		return ok && it.Key == e.Name && equality.Semantic.DeepEqual(declared.ValueFrom, e.ValueFrom)
	})
}

// NeedsVolumes tells whether a Secret or a ConfigMap that is missing can keep the
// volumes of an Injection from being mounted.
func NeedsVolumes(in *Injection) bool {
	return slices.ContainsFunc(in.items[edit.Volume], func(it edit.Item) bool {
		v, ok := it.Value.(*corev1.Volume)

		return ok && slices.ContainsFunc(ofVolume(v, nil), func(r reference) bool { return !r.optional })
	})
}
