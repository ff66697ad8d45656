package pods

import (
	"context"
	"fmt"
	"maps"
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
				if !isInInitialList {
					t.hear(nil, o)
				}
			},
			UpdateFunc: t.hear,
			DeleteFunc: func(o any) {
				if _, ok := o.(client.Object); ok {
					t.hear(nil, o)
				} else {
					t.lookAgain("") // a tombstone
				}
			},
		})
		if err != nil {
			return fmt.Errorf("cannot hear of edits: %w", err)
		}

		context.AfterFunc(ctx, func() { _ = informer.RemoveEventHandler(registration) })
	}

	return nil
}

// hear takes note of an object that was made, edited or deleted.
func (t *term) hear(before, after any) {
	switch o := after.(type) {
	case *metav1.PartialObjectMetadata:
		old, _ := before.(*metav1.PartialObjectMetadata)
		if old == nil || maps.Equal(old.Labels, o.Labels) {
			return // a new one has no pods yet
		}

		now := time.Now()

		t.mu.Lock()
		t.namespaces[o.Name], t.relabelled[o.Name] = Since{now, now}, now
		t.mu.Unlock()
		t.lookAgain(o.Name)
	case client.Object:
		old, _ := before.(client.Object)
		if old == nil || old.GetGeneration() != o.GetGeneration() || !statusOf(old).Since.Equal(statusOf(o).Since) {
			t.lookAgain(o.GetNamespace())
		}
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

	since := Since{status.Since.Time, status.Since.Time}
	t.injections[key] = since

	return since
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
	t.mu.Unlock()

	if ok {
		return since, o.Labels
	}

	since = t.firstSeen(ctx, o)

	t.mu.Lock()
	defer t.mu.Unlock()

	if heard, ok := t.namespaces[name]; ok {
		return heard, o.Labels // meanwhile
	}

	t.namespaces[name] = since

	return since, o.Labels
}

// firstSeen is for a namespace that did not change in this term.
func (t *term) firstSeen(ctx context.Context, o *metav1.PartialObjectMetadata) Since {
	created := Since{o.CreationTimestamp.Time, o.CreationTimestamp.Time}

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

	if o.CreationTimestamp.After(t.before) && !newest(full).After(o.CreationTimestamp.Add(newborn)) {
		return created
	}

	t.mu.Lock()
	defer t.mu.Unlock()

	t.relabelled[o.Name] = t.began

	return Since{t.before, t.began}
}

// newest is when something other than a status or another subresource of an object
// was last set.
func newest(o client.Object) (at time.Time) {
	for _, by := range o.GetManagedFields() {
		if by.Subresource == "" && by.Time != nil && by.Time.After(at) {
			at = by.Time.Time
		}
	}

	return at
}

// patience is longer than the API server works on a request, webhooks included.
const patience = time.Minute

// birthOf tells when a pod was created. The API server takes the time of the field
// manager before it calls webhooks, and the creation time when all have answered
// (telltale.TestSlowWebhook).
//
// Source: createHandler, k8s.io/apiserver v0.36.3 pkg/endpoints/handlers/create.go.
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
