package pods

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

var (
	namespaceKind = corev1.SchemeGroupVersion.WithKind("Namespace") //nolint:gochecknoglobals // a constant
	configMapKind = corev1.SchemeGroupVersion.WithKind("ConfigMap") //nolint:gochecknoglobals // a constant
)

// newborn is how long after its creation a part of an object may be written that was
// made with it.
const newborn = 2 * time.Second

// follow hears of edits of Injections and of the labels of namespaces, until ctx
// ends.
func (t *term) follow(ctx context.Context) error {
	for _, kind := range []client.Object{&v1alpha1.Injection{}, &v1alpha1.ClusterInjection{}, namespace("")} {
		informer, err := t.cache.GetInformer(ctx, kind)
		if err != nil {
			return fmt.Errorf("cannot hear of edits: %w", err)
		}

		registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerDetailedFuncs{
			AddFunc: func(o any, isInInitialList bool) {
				if isInInitialList {
					t.hearNamespace(o)
				} else {
					t.hear(nil, o)
				}
			},
			UpdateFunc: t.hear,
			DeleteFunc: t.hearGone,
		})
		if err != nil {
			return fmt.Errorf("cannot hear of edits: %w", err)
		}

		context.AfterFunc(ctx, func() { _ = informer.RemoveEventHandler(registration) })

		if !toolscache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
			return ctx.Err()
		}
	}

	return nil
}

// hearNamespace takes note that all changes of namespaces up to this one are handled.
func (t *term) hearNamespace(o any) {
	ns, ok := o.(*metav1.PartialObjectMetadata)
	if !ok {
		return
	}

	t.mu.Lock()
	defer t.mu.Unlock()

	if order, err := resourceversion.CompareResourceVersion(ns.ResourceVersion, t.heardNamespaces); err != nil || order > 0 {
		t.heardNamespaces = ns.ResourceVersion
	}
}

// hear takes note of an object that was made or edited.
func (t *term) hear(before, after any) {
	defer t.hearNamespace(after)

	switch o := after.(type) {
	case *metav1.PartialObjectMetadata:
		old, _ := before.(*metav1.PartialObjectMetadata)
		if old == nil {
			t.mu.Lock()
			t.arrived[o.Name] = time.Now()
			t.mu.Unlock()
			t.lookAgain(o.Name) // its first pods may have been heard of sooner

			return
		}

		if maps.Equal(old.Labels, o.Labels) {
			return
		}

		now := time.Now()

		t.mu.Lock()
		t.namespaces[o.Name], t.relabelled[o.Name] = Since{now, now}, now
		t.mu.Unlock()
		t.lookAgain(o.Name)
	case client.Object:
		old, _ := before.(client.Object)
		isEdited := old == nil || old.GetGeneration() != o.GetGeneration()
		if isEdited {
			t.mu.Lock()
			t.edited[o.GetUID()] = o.GetGeneration()
			t.mu.Unlock()
		}

		if isEdited || !statusOf(old).Since.Equal(statusOf(o).Since) {
			t.lookAgain(o.GetNamespace())
		}
	}
}

// hearGone takes note of an object that was deleted.
func (t *term) hearGone(o any) {
	gone, ok := o.(client.Object)
	if !ok {
		t.lookAgain("") // a tombstone

		return
	}

	t.mu.Lock()
	delete(t.edited, gone.GetUID())
	t.mu.Unlock()

	if _, isNamespace := o.(*metav1.PartialObjectMetadata); isNamespace {
		t.mu.Lock()
		delete(t.arrived, gone.GetName())
		t.mu.Unlock()
	} else {
		t.lookAgain(gone.GetNamespace())
	}
}

func statusOf(o client.Object) *v1alpha1.InjectionStatus {
	switch o := o.(type) {
	case *v1alpha1.Injection:
		return &o.Status
	case *v1alpha1.ClusterInjection:
		return &o.Status
	default:
		return &v1alpha1.InjectionStatus{}
	}
}

// sinceInjection tells since when all replicas have an edit.
func (t *term) sinceInjection(ctx context.Context, in *patches.Injection) Since {
	key := edit{in.UID, in.Generation}
	if since, ok := t.injections[key]; ok {
		return since
	}

	o := objectOf(in)
	if t.cached.Get(ctx, types.NamespacedName{Namespace: in.Namespace, Name: in.Name}, o) != nil {
		return unknown
	}

	status := statusOf(o)
	if o.GetUID() != in.UID || o.GetGeneration() != in.Generation || status.ObservedGeneration != in.Generation || status.Since == nil {
		return unknown // its status will say so, and then the pods are looked at again
	}

	since := t.sinceEdit(key, status.Since.Time)
	if since.After.Equal(since.Until) { // else hear may hear of the edit yet
		t.injections[key] = since
	}

	return since
}

// sinceEdit is for an edit that all replicas were first seen to have at a time. If it
// was made while nobody looked, it may be as old as the mark.
func (t *term) sinceEdit(of edit, seen time.Time) Since {
	t.mu.Lock()
	defer t.mu.Unlock()

	if of.generation > 1 && t.edited[of.uid] < of.generation && seen.After(t.began.Add(-time.Second)) {
		return Since{t.before, seen}
	}

	return Since{seen, seen}
}

// unknown is for an edit that is going on.
var unknown = Since{Until: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} //nolint:gochecknoglobals // a constant

func objectOf(in *patches.Injection) client.Object {
	if in.Cluster() {
		return &v1alpha1.ClusterInjection{}
	}

	return &v1alpha1.Injection{}
}

// sinceNamespace tells since when a namespace has its labels, and which it has.
func (t *term) sinceNamespace(ctx context.Context, name string) (Since, map[string]string) {
	o := namespace(name)
	if t.cached.Get(ctx, types.NamespacedName{Name: name}, o) != nil {
		return unknown, nil
	}

	t.mu.Lock()
	since, ok := t.namespaces[name]
	order, err := resourceversion.CompareResourceVersion(o.ResourceVersion, t.heardNamespaces)
	t.mu.Unlock()

	if err != nil || order > 0 { // the cache has a change that hear will hear of
		t.lookAgain(name)

		return unknown, o.Labels
	}

	if ok {
		return since, o.Labels
	}

	if since = t.firstSeen(ctx, o); since == unknown {
		t.lookAgain(name)
	}

	t.mu.Lock()
	defer t.mu.Unlock()

	if heard, ok := t.namespaces[name]; ok {
		return heard, o.Labels // meanwhile
	}

	t.namespaces[name] = since

	return since, o.Labels
}

// forgetUnknown has the API server asked again about a namespace that could not be read,
// or about all.
func (t *term) forgetUnknown(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()

	maps.DeleteFunc(t.namespaces, func(n string, since Since) bool { return since == unknown && (name == "" || name == n) })
}

// firstSeen is for a namespace that did not change in this term. If it has the labels
// that it was made with, they decide nothing: no pod is older.
func (t *term) firstSeen(ctx context.Context, o *metav1.PartialObjectMetadata) Since {
	created := Since{}

	order, err := resourceversion.CompareResourceVersion(o.ResourceVersion, t.beforeNamespaces)
	if err == nil && order <= 0 {
		if at, ok := t.mark.Relabelled[o.Name]; ok {
			return Since{at, at}
		}

		return created
	}

	// It changed since the last leader, and only what was set has left a time.
	full := namespace(o.Name)
	if t.live.Get(ctx, types.NamespacedName{Name: o.Name}, full) != nil || full.UID != o.UID {
		return unknown
	}

	if o.CreationTimestamp.After(t.before) {
		switch at, writers := labelled(full); {
		case !at.After(o.CreationTimestamp.Time) && writers <= 1:
			return created
		case !at.After(o.CreationTimestamp.Add(newborn)):
			return Since{at, at}
		}
	}

	return t.changedUnseen(o.Name)
}

// changedUnseen is for a namespace with labels that changed while nobody looked: hear may
// have heard of it late, as when it lists anew.
func (t *term) changedUnseen(name string) Since {
	t.mu.Lock()
	defer t.mu.Unlock()

	until := latestOf(t.followed, t.arrived[name])
	t.relabelled[name] = until

	return Since{t.before, until}
}

// labelled is when labels of an object were last set, or something else by who had
// set labels, and by how many field managers.
func labelled(o client.Object) (at time.Time, writers int) {
	for _, by := range o.GetManagedFields() {
		if by.Subresource != "" || by.Time == nil || by.FieldsV1 == nil || !strings.Contains(by.FieldsV1.GetRawString(), `"f:labels"`) {
			continue
		}

		writers++

		if by.Time.After(at) {
			at = by.Time.Time
		}
	}

	return at, writers
}

// patience is longer than the API server works on a request, webhooks included.
const patience = time.Minute

// birthOf tells when a pod was created. The API server takes the time of the field
// manager before it calls webhooks, and the creation time when all have answered
// (telltale.TestSlowWebhook).
//
// Source: createHandler, k8s.io/apiserver v0.37.2 pkg/endpoints/handlers/create.go.
func birthOf(pod *corev1.Pod) birth {
	b := birth{pod.CreationTimestamp.Time, pod.CreationTimestamp.Time}

	for _, by := range pod.ManagedFields {
		if by.Subresource == "" && by.Time != nil && by.Time.Time.Before(b.begun) && by.Time.After(b.created.Add(-patience)) {
			b.begun = by.Time.Time
		}
	}

	return b
}

func namespace(name string) *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(namespaceKind)
	o.Name = name

	return o
}
