package pods

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// census sees which Injections and namespaces there are. An Injection without counts
// gets some, as the pods that it selects may be none; at the start of a term each does,
// since the last leader's may be wrong. All else that is known of others is forgotten:
// a long term needs no more memory than a short one.
func (t *term) census(ctx context.Context, isFirst bool) error {
	var (
		all     v1alpha1.InjectionList
		cluster v1alpha1.ClusterInjectionList
		spaces  metav1.PartialObjectMetadataList
	)

	spaces.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))

	for _, list := range []client.ObjectList{&all, &cluster, &spaces} {
		if err := t.cached.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return fmt.Errorf("cannot list Injections and namespaces: %w", err)
		}
	}

	injections, namespaces := map[types.UID]int64{}, map[string]bool{}
	t.denies = false

	see := func(o client.Object) {
		injections[o.GetUID()] = o.GetGeneration()
		t.denies = t.denies || denies(o)

		if isFirst || statusOf(o).Pods == nil {
			t.book.tally(types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()})
		}
	}

	for i := range all.Items {
		see(&all.Items[i])
	}

	for i := range cluster.Items {
		see(&cluster.Items[i])
	}

	for i := range spaces.Items {
		namespaces[spaces.Items[i].Name] = true
	}

	t.keepInjections(injections)
	t.keepNamespaces(namespaces)

	return nil
}

// denies tells whether an Injection has Telltale refuse pods.
func denies(o client.Object) bool {
	switch o := o.(type) {
	case *v1alpha1.Injection:
		return o.Spec.OnFailure == v1alpha1.Deny
	case *v1alpha1.ClusterInjection:
		return o.Spec.OnFailure == v1alpha1.Deny
	default:
		return false
	}
}

// keepInjections forgets the edits of other Injections, and the older edits. The last
// but one may still be in use.
func (t *term) keepInjections(generations map[types.UID]int64) {
	maps.DeleteFunc(t.injections, func(e edit, _ Since) bool {
		now, ok := generations[e.uid]

		return !ok || e.generation < now-1
	})
}

// keepNamespaces forgets when other namespaces were relabelled.
func (t *term) keepNamespaces(names map[string]bool) {
	t.changes.keep(names)
	maps.DeleteFunc(t.mark.Relabelled, func(name string, _ time.Time) bool { return !names[name] })
}

// forgetGone forgets the names of failures of pods that are gone since they were told,
// once all pods were looked at.
func (t *term) forgetGone() {
	here := map[string]bool{}

	for uid, e := range t.book.pods {
		for _, s := range e.states {
			for _, reason := range toldOnce() {
				if once := failure.OnceOf(uid, s.name, reason); t.told[once] {
					here[once] = true
				}
			}
		}
	}

	t.told = here
}

// oldest returns the key with the oldest time.
func oldest(times map[string]time.Time) string {
	return slices.MinFunc(slices.Collect(maps.Keys(times)), func(a, b string) int { return times[a].Compare(times[b]) })
}
