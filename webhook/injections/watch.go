package injections

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// retry is how long to wait before looking again for something that the API
// server lacks.
const retry = 2 * time.Second

// looked is how long after the start memory is given back. The first lists of
// thousands of objects, and a look at the status of each, take much more memory
// than the set that is kept.
const looked = 3 * time.Second

// Watch adds to a manager all that keeps the Injections up to date. If the API
// server is away, or the CRDs are not installed, it waits, and says so in the
// log; it never gives up.
//
// The namespace is Telltale's own, where a ConfigMap can stop all injection.
func (in *Injections) Watch(m manager.Manager, namespace string) error {
	err := m.Add(manager.RunnableFunc(func(ctx context.Context) error {
		return in.watch(ctx, m.GetCache(), namespace)
	}))
	if err != nil {
		return fmt.Errorf("cannot watch Injections: %w", err)
	}

	return nil
}

func (in *Injections) watch(ctx context.Context, c cache.Cache, namespace string) error {
	var synced []toolscache.InformerSynced

	in.objects.Start(ctx)

	for kind, on := range map[client.Object]toolscache.ResourceEventHandler{
		&v1alpha1.Injection{}:        in.noting(Injection, in.onInjection()),
		&v1alpha1.ClusterInjection{}: in.noting(ClusterInjection, in.onClusterInjection()),
		namespaceMetadata():          in.noting(Namespace, in.onNamespace()),
		&corev1.LimitRange{}:         handlers(in.limits.set, in.limits.remove),
		&corev1.ResourceQuota{}:      handlers(in.quotas.set, in.quotas.remove),
		&corev1.ConfigMap{}:          in.noting(Stop, in.onStop(namespace)),
	} {
		registration, err := in.register(ctx, c, kind, on)
		if err != nil {
			return nil //nolint:nilerr // the context ended while it waited
		}

		synced = append(synced, registration.HasSynced)
	}

	if !toolscache.WaitForCacheSync(ctx.Done(), synced...) {
		return nil
	}

	in.load(ctx)
	in.log.Info("Injections loaded")

	select {
	case <-ctx.Done():
	case <-time.After(looked):
		debug.FreeOSMemory()
	}

	return nil
}

// register starts to handle a kind's events, as soon as the API server knows
// the kind. The only error is that of an ended context.
func (in *Injections) register(
	ctx context.Context, c cache.Cache, kind client.Object, on toolscache.ResourceEventHandler,
) (registration toolscache.ResourceEventHandlerRegistration, err error) {
	err = wait.PollUntilContextCancel(ctx, retry, true, func(ctx context.Context) (bool, error) {
		informer, err := c.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err == nil {
			in.progress.watch(on, informer)

			registration, err = informer.AddEventHandler(on)
		}

		if err != nil {
			in.log.Error(err, "cannot watch yet, will try again: is the API server there, are the CRDs installed?", "kind", fmt.Sprintf("%T", kind))
		}

		return err == nil, nil
	})

	return registration, err
}

func (in *Injections) onInjection() toolscache.ResourceEventHandlerFuncs {
	return handlers(
		func(o *v1alpha1.Injection) {
			in.set(o, func() *patches.Injection { return patches.Compile(o) })
		},
		in.remove,
	)
}

func (in *Injections) onClusterInjection() toolscache.ResourceEventHandlerFuncs {
	return handlers(
		func(o *v1alpha1.ClusterInjection) {
			in.set(o, func() *patches.Injection { return patches.CompileCluster(o) })
		},
		in.remove,
	)
}

func (in *Injections) onNamespace() toolscache.ResourceEventHandlerFuncs {
	return handlers(
		func(o *metav1.PartialObjectMetadata) {
			in.namespaces.Store(o.Name, namespaceOf{o.Labels, o.CreationTimestamp.Time})
		},
		func(_, name string) { in.namespaces.Delete(name) },
	)
}

// handlers calls set for each new or changed object, and gone for each deleted
// one.
func handlers[T client.Object](set func(T), gone func(namespace, name string)) toolscache.ResourceEventHandlerFuncs {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) {
			if o, ok := o.(T); ok {
				set(o)
			}
		},
		UpdateFunc: func(_, o any) {
			if o, ok := o.(T); ok {
				set(o)
			}
		},
		DeleteFunc: func(o any) {
			key, err := toolscache.DeletionHandlingMetaNamespaceKeyFunc(o)
			if err != nil {
				return // not an object, which can't happen
			}

			namespace, name, err := toolscache.SplitMetaNamespaceKey(key)
			if err == nil {
				gone(namespace, name)
			}
		},
	}
}

func namespaceMetadata() *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))

	return o
}
