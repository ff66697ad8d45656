// Package owner finds the object to report a failure on: the one that people
// `kubectl describe` when their pods lack something.
//
// A review names its pod's controller, mostly a ReplicaSet. But every caller
// that reaches the port can send a review. So an object counts only if it is
// the one that the review names:
//
//	ReplicaSet, Job   with the uid of the review → its own controller (Deployment,
//	                  CronJob, Argo Rollout, ...), or itself if it has none
//	Pod with a uid    with this uid → itself: it controls the pod, as Spark's drivers
//	                  control their executors
//	Pod without       the pod itself, once it exists and says that this Injection
//	                  failed; else, or without a name, its namespace
//	any other kind    itself, as the review says: with a wrong uid, describe
//	                  shows the event nowhere
//
// An object that can't be confirmed gets no event (TestForged). If it is not
// there because its namespace is gone, the error says so. While the API server
// does not answer, nothing is reported on it: the failure waits.
//
// It needs the verb get on replicasets, jobs, pods and namespaces.
package owner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// PodWait is how long a failure of a bare pod waits for the pod to exist
// before it is reported on the namespace. A pod is created right after its
// admission, or never.
const PodWait = 10 * time.Second

// keepNamespace is how long it is kept that a namespace exists, so that a flood of
// invented owners does not cost two reads each.
const keepNamespace = 10 * time.Second

// Errors of Resolve that no retry can mend.
var (
	// ErrNone means that the review did not name the pod's owner.
	ErrNone error = &ledger.FinalError{
		Cause: ledger.NoOwner, Err: errors.New("the review does not name the pod's owner"),
	}
	// ErrUnconfirmed means that the API server knows no such object, or another
	// one with its name.
	ErrUnconfirmed error = &ledger.FinalError{
		Cause: ledger.OwnerUnconfirmed, Err: errors.New("the API server does not know it by this name and uid"),
	}
	// ErrNamespaceGone means that there is no such object, because its namespace is
	// deleted, or being deleted.
	ErrNamespaceGone error = &ledger.FinalError{
		Cause: ledger.NamespaceGone, Err: errors.New("its namespace is gone"),
	}
)

// ErrNoPod means that a bare pod does not exist yet.
var ErrNoPod error = &ledger.NotYetError{Err: errors.New("the pod does not exist yet")}

// Resolver finds owners. It is safe for concurrent use.
type Resolver struct {
	client  metadata.Interface
	keepFor time.Duration
	known   *cache.Expiring // failure.Ref → the failure.Ref of its owner
}

// New makes a Resolver that reads as cfg says. It keeps answers for the given
// time: an object may be orphaned, and adopted by another. So how many answers it
// keeps depends on how many reads cfg allows in that time.
func New(cfg *rest.Config, keepFor time.Duration) (*Resolver, error) {
	client, err := metadata.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client that reads owners: %w", err)
	}

	return &Resolver{client: client, keepFor: keepFor, known: cache.NewExpiring()}, nil
}

// Within returns a Resolver that reads as cfg says, and shares what is known.
func (r *Resolver) Within(cfg *rest.Config) (*Resolver, error) {
	other, err := New(cfg, r.keepFor)
	if err == nil {
		other.known = r.known
	}

	return other, err
}

// Cluster returns the uid of namespace kube-system, by which the world knows a
// cluster. If it may not be read, Cluster returns none.
//
// Source: k8s.cluster.uid, open-telemetry/semantic-conventions
// docs/registry/attributes/k8s.md.
func (r *Resolver) Cluster(ctx context.Context) (string, error) {
	namespaces := schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	o, err := r.client.Resource(namespaces).Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	switch {
	case apierrors.IsForbidden(err), notFound(err, namespaces):
		return "", nil
	case err != nil:
		return "", unread(ledger.Namespace(metav1.NamespaceSystem), err)
	default:
		return string(o.UID), nil
	}
}

// Resolve returns the object to report f on; f happened the given time ago. The
// error is a *ledger.FinalError if no retry can help: ErrNone, ErrUnconfirmed or
// ErrNamespaceGone. It is a *ledger.WaitError if the API server asks to wait.
// After any other error, a retry may help.
func (r *Resolver) Resolve(ctx context.Context, f failure.Failure, ago time.Duration) (failure.Ref, error) {
	ref := f.Owner
	if ref == (failure.Ref{}) {
		return ref, ErrNone
	}
	if ref.Kind == "Pod" && ref.UID == "" && ref.Name == "" {
		return namespace(ref)
	}
	if !possible(ref) {
		return ref, fmt.Errorf("cannot report on %q: %w", ref, ErrUnconfirmed)
	}
	if found, ok := r.known.Get(ref); ok {
		return found.(failure.Ref), nil
	}
	replicaSets := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}
	jobs := schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}
	pods := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	switch groupKind(ref) {
	case schema.GroupKind{Group: "apps", Kind: "ReplicaSet"}:
		return r.confirmed(ctx, ref, replicaSets)
	case schema.GroupKind{Group: "batch", Kind: "Job"}:
		return r.confirmed(ctx, ref, jobs)
	case schema.GroupKind{Kind: "Pod"}:
		if ref.UID == "" {
			return r.bare(ctx, f, ago, pods)
		}

		return r.confirmed(ctx, ref, pods)
	default:
		return ref, nil
	}
}

// confirmed returns the controller of the object, or the object itself if it
// has none. The API server must know the object by its name and uid. A pod is
// the end of the chain.
func (r *Resolver) confirmed(
	ctx context.Context, ref failure.Ref, resource schema.GroupVersionResource,
) (failure.Ref, error) {
	o, err := r.get(ctx, ref, resource)
	switch {
	case notFound(err, resource):
		return ref, r.missing(ctx, ref)
	case err == nil && o.UID != ref.UID:
		return ref, fmt.Errorf("cannot report on %s: %w", ref, ErrUnconfirmed)
	case err != nil:
		return ref, unread(ref, err)
	}
	found := ref
	if c := metav1.GetControllerOf(o); c != nil && ref.Kind != "Pod" {
		found = failure.Ref{
			APIVersion: c.APIVersion, Kind: c.Kind, Namespace: ref.Namespace, Name: c.Name, UID: c.UID,
		}
	}
	r.known.Set(ref, found, r.keepFor)

	return found, nil
}

// missing says why there is no such object.
func (r *Resolver) missing(ctx context.Context, ref failure.Ref) error {
	in := ledger.Namespace(ref.Namespace)
	if _, ok := r.known.Get(in); ok {
		return fmt.Errorf("cannot report on %s: %w", ref, ErrUnconfirmed)
	}
	namespaces := schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	o, err := r.client.Resource(namespaces).Get(ctx, ref.Namespace, metav1.GetOptions{})
	switch {
	case notFound(err, namespaces), err == nil && o.DeletionTimestamp != nil:
		return fmt.Errorf("cannot report on %s: %w", ref, ErrNamespaceGone)
	case err != nil:
		return unread(in, err)
	}
	r.known.Set(in, in, keepNamespace)

	return fmt.Errorf("cannot report on %s: %w", ref, ErrUnconfirmed)
}

// bare returns a pod without a controller, if it exists now, or its namespace.
func (r *Resolver) bare(
	ctx context.Context, f failure.Failure, ago time.Duration, pods schema.GroupVersionResource,
) (failure.Ref, error) {
	ref := f.Owner
	pod, err := r.get(ctx, ref, pods)
	switch {
	case notFound(err, pods) && ago < PodWait:
		return ref, ErrNoPod
	case notFound(err, pods), err == nil && !says(pod.Annotations[v1alpha1.FailedAnnotation], f):
		return namespace(ref)
	case err != nil:
		return ref, unread(ref, err)
	}
	ref.UID = pod.UID

	return ref, nil
}

func (r *Resolver) get(
	ctx context.Context, ref failure.Ref, resource schema.GroupVersionResource,
) (*metav1.PartialObjectMetadata, error) {
	return r.client.Resource(resource).Namespace(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
}

// notFound tells whether the API server itself says that there is no such
// object. A load balancer without a backend also answers 404, with a page.
func notFound(err error, resource schema.GroupVersionResource) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)

	return ok && apierrors.IsNotFound(err) && !apierrors.IsUnexpectedServerError(err) &&
		status.ErrStatus.Details != nil && status.ErrStatus.Details.Kind == resource.Resource
}

// unread says which object could not be read, and when to try again if the API
// server says so.
func unread(ref failure.Ref, err error) error {
	err = fmt.Errorf("cannot get %s, to find the object to report on: %w", ref, err)
	if seconds, asked := apierrors.SuggestsClientDelay(err); asked {
		return &ledger.WaitError{Wait: time.Duration(seconds) * time.Second, Err: err}
	}

	return err
}

// says tells whether a pod's annotation names this failure, of any revision: a
// replica of another version may have written it, or the Injection was edited
// since the last failure.
func says(annotation string, f failure.Failure) bool {
	failed, _ := v1alpha1.ParseRecord(annotation)

	return slices.ContainsFunc(failed, func(r v1alpha1.Recorded) bool {
		return r.Name == f.Injection.String() && r.Reason == string(f.Reason)
	})
}

// namespace returns the namespace of an object, to report on it.
func namespace(of failure.Ref) (failure.Ref, error) {
	ref := ledger.Namespace(of.Namespace)
	if !possible(ref) {
		return of, fmt.Errorf("cannot report on %q: %w", ref, ErrUnconfirmed)
	}

	return ref, nil
}

// possible tells whether there can be an object of this name. The API server
// can't be asked for others, so asking would fail for ever.
func possible(ref failure.Ref) bool {
	return len(validation.IsDNS1123Label(ref.Namespace)) == 0 &&
		ref.Name != "" && len(content.IsPathSegmentName(ref.Name)) == 0
}

func groupKind(ref failure.Ref) schema.GroupKind {
	return schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind).GroupKind()
}
