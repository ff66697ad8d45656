package pods

import (
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
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
	if of.generation > 1 && !t.changes.hasHeard(of) && seen.After(t.began.Add(-time.Second)) {
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

	since, known, late := t.changes.of(o)

	switch {
	case late:
		t.changes.lookAgain(name)

		return unknown, o.Labels
	case known:
		return since, o.Labels
	}

	if since = t.firstSeen(ctx, o); since == unknown {
		t.changes.lookAgain(name)
	}

	return t.changes.add(name, since), o.Labels
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

// changedUnseen is for a namespace with labels that changed while no leader looked.
func (t *term) changedUnseen(name string) Since { return Since{t.before, t.changes.addUnseen(name)} }

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
