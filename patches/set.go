package patches

import (
	"cmp"
	"maps"
	"slices"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// Set is an immutable set of Injections. With and Without return a changed copy
// that shares what did not change, so that an edit costs little more than its
// own compilation, and a reader never waits. The zero Set is empty.
type Set struct {
	buckets map[string]*bucket // by namespace; "" holds the ClusterInjections
}

// bucket holds the Injections of one namespace. A pod is compared only with
// those for which it, or its namespace, has a label that they require, and with
// those that require none, so that the cost of a match does not grow with
// Injections for others.
type bucket struct {
	byName      map[string]*Injection
	byPod       index // what requires a label of the pod
	byNamespace index // of the others, what requires a label of the namespace
	others      []*Injection
	previews    []*Injection // those with mode: Preview, which are in none of the above
}

// With returns the set with Injections added, each in place of one of its
// namespace and name.
func (s *Set) With(injections ...*Injection) *Set {
	byNamespace := map[string][]*Injection{}
	for _, in := range injections {
		byNamespace[in.Namespace] = append(byNamespace[in.Namespace], in)
	}

	next := s.clone()
	for namespace, added := range byNamespace {
		next.edit(namespace, func(byName map[string]*Injection) {
			for _, in := range added {
				byName[in.Name] = in
			}
		})
	}

	return next
}

// Without returns the set without one Injection (a ClusterInjection, if
// namespace is empty).
func (s *Set) Without(namespace, name string) *Set {
	next := s.clone()
	next.edit(namespace, func(byName map[string]*Injection) { delete(byName, name) })

	return next
}

// Namespaces returns the namespaces that have Injections, in no order; "" among
// them if there are ClusterInjections.
func (s *Set) Namespaces() []string { return slices.Collect(maps.Keys(s.buckets)) }

// Names returns the names of a namespace's Injections, in no order.
func (s *Set) Names(namespace string) []string {
	b := s.buckets[namespace]
	if b == nil {
		return nil
	}

	return slices.Collect(maps.Keys(b.byName))
}

// Get returns one Injection, or nil.
func (s *Set) Get(namespace, name string) *Injection {
	b := s.buckets[namespace]
	if b == nil {
		return nil
	}

	return b.byName[name]
}

// ReadsImages tells whether an Injection chooses pods by their images.
func (s *Set) ReadsImages() bool {
	for _, b := range s.buckets {
		for _, in := range b.byName {
			if in.chooser != nil && !in.chooser.images.isEmpty() {
				return true
			}
		}
	}

	return false
}

// Match returns the Injections that select a pod with these traits, in the order
// in which they are applied: low orders first, then ClusterInjections before
// Injections, then by name. Those with mode: Preview and Paused are not among them. A
// pod that opted out, by its own label or by its namespace's, is selected by none.
// Injection.Selects says why not.
func (s *Set) Match(pod Traits, ns Namespace) []Match {
	if optedOut(pod.Labels, ns) != "" {
		return nil
	}

	var found []Match
	found = s.buckets[""].match(found, pod, ns)
	if ns.Name != "" {
		found = s.buckets[ns.Name].match(found, pod, ns)
	}

	slices.SortFunc(found, inOrder)

	return found
}

// clone is a copy that shares the buckets.
func (s *Set) clone() *Set {
	next := &Set{buckets: maps.Clone(s.buckets)}
	if next.buckets == nil {
		next.buckets = map[string]*bucket{}
	}

	return next
}

// edit replaces one bucket of a set that nobody else has yet.
func (s *Set) edit(namespace string, edit func(byName map[string]*Injection)) {
	byName := map[string]*Injection{}
	if old := s.buckets[namespace]; old != nil {
		byName = maps.Clone(old.byName)
	}

	edit(byName)

	if len(byName) == 0 {
		delete(s.buckets, namespace)
	} else {
		s.buckets[namespace] = newBucket(byName)
	}
}

func newBucket(byName map[string]*Injection) *bucket {
	b := &bucket{byName: byName}
	for _, in := range byName {
		switch {
		case in.mode == v1alpha1.Paused:
		case in.mode == v1alpha1.Preview:
			b.previews = append(b.previews, in)
		case len(in.podRequired) > 0:
			b.byPod.add(in, in.podRequired)
		case len(in.namespaceRequired) > 0:
			b.byNamespace.add(in, in.namespaceRequired)
		default:
			b.others = append(b.others, in)
		}
	}

	return b
}

func (b *bucket) match(found []Match, pod Traits, ns Namespace) []Match {
	if b == nil {
		return found
	}

	compare := func(injections []*Injection) {
		for _, in := range injections {
			found = in.match(found, &pod, ns)
		}
	}

	for k, v := range pod.Labels {
		compare(b.byPod.byLabel[labelPair{k, v}])
	}

	for k, v := range ns.Labels {
		compare(b.byNamespace.byLabel[labelPair{k, v}])
	}

	if !ns.Known {
		compare(b.byNamespace.all)
	}

	compare(b.others)

	return found
}

// inOrder compares two matches by the order in which they are applied.
func inOrder(a, b Match) int {
	return cmp.Or(
		cmp.Compare(a.order, b.order),
		cmp.Compare(a.Namespace, b.Namespace), // "" is a ClusterInjection's
		cmp.Compare(a.Name, b.Name),
	)
}
