package injections

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches"
)

// Cache is for the manager that Watch gets. It takes note of Injections that arrive,
// and limits the cache to the little that is needed of each LimitRange and
// ResourceQuota: the name, the rules, and of a quota the names of what it limits.
// Usage and metadata are let go. Of the ConfigMaps it watches one in Telltale's own
// namespace: there is no right to others.
func (in *Injections) Cache(namespace string) cache.Options {
	return cache.Options{
		DefaultTransform: in.arrive,
		ByObject: map[client.Object]cache.ByObject{
			&corev1.LimitRange{}:    {Transform: trimmed(trimLimitRange)},
			&corev1.ResourceQuota{}: {Transform: trimmed(trimResourceQuota)},
			&corev1.ConfigMap{}: {
				// The namespace as a selector, not as Namespaces: so it is one informer, with a
				// store (progress).
				Field: fields.AndSelectors(
					fields.OneTermEqualSelector("metadata.namespace", namespace), fields.OneTermEqualSelector("metadata.name", StopName),
				),
				Transform: trimmed(trimStop),
			},
		},
	}
}

func trimmed[T any](trim func(T) T) toolscache.TransformFunc {
	return func(o any) (any, error) {
		if t, ok := o.(T); ok {
			return trim(t), nil
		}

		return o, nil
	}
}

func trimLimitRange(l *corev1.LimitRange) *corev1.LimitRange {
	return &corev1.LimitRange{ObjectMeta: named(l), Spec: l.Spec}
}

func trimResourceQuota(q *corev1.ResourceQuota) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{
		ObjectMeta: named(q),
		Spec:       corev1.ResourceQuotaSpec{Scopes: q.Spec.Scopes, ScopeSelector: q.Spec.ScopeSelector},
		Status:     corev1.ResourceQuotaStatus{Hard: q.Status.Hard},
	}
}

func named(o client.Object) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: o.GetNamespace(), Name: o.GetName(), UID: o.GetUID(), ResourceVersion: o.GetResourceVersion()}
}

// rules are the objects of one kind that judge pods, by namespace and name. A
// reader never waits; what it gets never changes.
type rules[T client.Object] struct {
	// judges tells whether an object can refuse a pod at all, and content is the
	// part of it that does.
	judges  func(T) bool
	content func(T) any
	// changed is called for each namespace when its rules change.
	changed func(namespace string)

	edit        sync.Mutex
	byNamespace sync.Map // namespace → []T, in the order of their names
}

// of returns the rules of a namespace.
func (r *rules[T]) of(namespace string) []T {
	list, _ := r.byNamespace.Load(namespace)
	all, _ := list.([]T)

	return all
}

// set makes an object known. The usage of a quota changes with each pod; that is no
// change of its rule.
func (r *rules[T]) set(o T) {
	r.change(o.GetNamespace(), func(byName map[string]T) bool {
		old, known := byName[o.GetName()]

		switch judges := r.judges(o); {
		case known && judges && equality.Semantic.DeepEqual(r.content(old), r.content(o)), !known && !judges:
			return false
		case judges:
			byName[o.GetName()] = o
		default:
			delete(byName, o.GetName())
		}

		return true
	})
}

func (r *rules[T]) remove(namespace, name string) {
	r.change(namespace, func(byName map[string]T) bool {
		_, known := byName[name]
		delete(byName, name)

		return known
	})
}

func (r *rules[T]) change(namespace string, change func(byName map[string]T) bool) {
	r.edit.Lock()
	defer r.edit.Unlock()

	byName := map[string]T{}
	for _, o := range r.of(namespace) {
		byName[o.GetName()] = o
	}

	if !change(byName) {
		return
	}

	r.byNamespace.Store(namespace, slices.SortedFunc(maps.Values(byName), func(a, b T) int {
		return cmp.Compare(a.GetName(), b.GetName())
	}))

	if len(byName) == 0 {
		r.byNamespace.Delete(namespace)
	}

	r.changed(namespace)
}

// newRules fills in what differs between the kinds.
func (in *Injections) newRules() {
	in.limits.judges, in.quotas.judges = patches.LimitJudges, patches.QuotaJudges
	in.limits.changed, in.quotas.changed = in.changed, in.changed
	in.limits.content = func(l *corev1.LimitRange) any { return l.Spec }
	in.quotas.content = func(q *corev1.ResourceQuota) any { return []any{q.Spec, q.Status.Hard} }
}

// changed has the status of a namespace's Injections looked at again.
func (in *Injections) changed(namespace string) {
	if hear := in.onChange.Load(); hear != nil {
		(*hear)(namespace)
	}
}

// about returns our knowledge of a namespace.
func (in *Injections) about(namespace string) patches.Namespace {
	ns := patches.Namespace{Name: namespace, Limits: in.limits.of(namespace), Quotas: in.quotas.of(namespace), Objects: in.objects}
	if known, ok := in.namespaces.Load(namespace); ok {
		ns.Labels, ns.Known = known.(namespaceOf).labels, true
	}

	return ns
}
