package failures

import (
	"context"
	"strings"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/scan"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// source is what the events of Telltale name as theirs.
const source = "telltale"

// read reads all that there is, lists side by side.
func read(ctx context.Context, s *scan.Scan) (*found, error) {
	f := &found{namespace: s.Namespace, pending: map[string]bool{}}

	var (
		owners map[string]metav1.OwnerReference // of pods with a failure, by uid
		all    errgroup.Group
	)

	all.Go(func() error { return f.readEvents(ctx, s) })
	all.Go(func() (err error) {
		owners, err = f.readPods(ctx, s)

		return err
	})
	all.Go(func() (err error) {
		f.injections, err = s.Injections(ctx)

		return err
	})

	if err := all.Wait(); err != nil {
		return nil, err
	}

	if err := f.readOwners(ctx, s, owners); err != nil {
		return nil, err
	}

	return f, f.readPending(ctx, s)
}

func (f *found) readEvents(ctx context.Context, s *scan.Scan) error {
	return scan.Each(ctx, s, "events", &corev1.EventList{}, func(e *corev1.Event) { f.events = append(f.events, e) },
		client.MatchingFields{"source": source})
}

// readPods returns the controllers of the pods that have a failure.
func (f *found) readPods(ctx context.Context, s *scan.Scan) (map[string]metav1.OwnerReference, error) {
	owners := map[string]metav1.OwnerReference{}

	err := scan.Each(ctx, s, "pods", metadataOf(corev1.SchemeGroupVersion.WithKind("Pod")), func(o *metav1.PartialObjectMetadata) {
		p := pod{
			namespace: o.Namespace, uid: string(o.UID), owner: Object{"Pod", o.Name}, created: o.CreationTimestamp,
			failed: o.Annotations[v1alpha1.FailedAnnotation],
		}

		if by := metav1.GetControllerOf(o); by != nil {
			p.owner = Object{by.Kind, by.Name}

			if p.failed != "" {
				owners[o.Namespace+"/"+p.owner.String()] = *by
			}
		}

		f.pods = append(f.pods, p)
	})

	f.noPods = s.MayNot("list pods")

	return owners, err
}

func metadataOf(kind schema.GroupVersionKind) *metav1.PartialObjectMetadataList {
	list := &metav1.PartialObjectMetadataList{}
	kind.Kind += "List"
	list.SetGroupVersionKind(kind)

	return list
}

// few is how many owners are read one by one. More are read as a list.
const few = 100

// readOwners replaces ReplicaSets by their Deployments, and Jobs by their CronJobs: the
// events are on these.
func (f *found) readOwners(ctx context.Context, s *scan.Scan, controllers map[string]metav1.OwnerReference) error {
	above := map[string]Object{}
	put := func(kind string, o *metav1.PartialObjectMetadata) {
		if by := metav1.GetControllerOf(o); by != nil {
			above[o.Namespace+"/"+Object{kind, o.Name}.String()] = Object{by.Kind, by.Name}
		}
	}

	for _, kind := range []schema.GroupVersionKind{appsv1.SchemeGroupVersion.WithKind("ReplicaSet"), batchv1.SchemeGroupVersion.WithKind("Job")} {
		var names []types.NamespacedName

		for at, by := range controllers {
			if by.Kind == kind.Kind && strings.HasPrefix(by.APIVersion, kind.Group) {
				namespace, _, _ := strings.Cut(at, "/")
				names = append(names, types.NamespacedName{Namespace: namespace, Name: by.Name})
			}
		}

		if len(names) > few {
			err := scan.Each(ctx, s, strings.ToLower(kind.Kind)+"s", metadataOf(kind), func(o *metav1.PartialObjectMetadata) { put(kind.Kind, o) })
			if err != nil {
				return err
			}

			continue
		}

		for _, name := range names {
			o := &metav1.PartialObjectMetadata{}
			o.SetGroupVersionKind(kind)

			if err := client.IgnoreNotFound(s.Client.Get(ctx, name, o)); err != nil {
				if err := s.Note("get "+strings.ToLower(kind.Kind)+"s", err); err != nil {
					return err
				}

				continue
			}

			o.Namespace, o.Name = name.Namespace, name.Name
			put(kind.Kind, o)
		}
	}

	for i := range f.pods {
		if owner, ok := above[f.pods[i].namespace+"/"+f.pods[i].owner.String()]; ok {
			f.pods[i].owner = owner
		}
	}

	return nil
}

// readPending reads which pods have not started, if an event says that some did not.
func (f *found) readPending(ctx context.Context, s *scan.Scan) error {
	for _, e := range f.events {
		if e.Reason == string(failure.Stuck) {
			return scan.Each(ctx, s, "pods", metadataOf(corev1.SchemeGroupVersion.WithKind("Pod")),
				func(o *metav1.PartialObjectMetadata) { f.pending[string(o.UID)] = true }, client.MatchingFields{"status.phase": string(corev1.PodPending)})
		}
	}

	return nil
}
