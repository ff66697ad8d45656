package pods

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// changes are those of Injections and of the labels of namespaces. The watches write
// them, and the term reads them.
type changes struct {
	followed time.Time // from then on, they are heard of

	mu         sync.Mutex
	namespaces map[string]Since     // when their labels came to be
	relabelled map[string]time.Time // when their labels changed, for the mark
	arrived    map[string]time.Time // when a new namespace was heard of
	// upTo is a resourceVersion: all changes of namespaces up to it are heard of.
	upTo   string
	edited map[types.UID]int64 // the last generation of an Injection that was heard of
	dirty  map[string]bool     // namespaces with pods that must be looked at again; "" is all
}

func newChanges() *changes {
	return &changes{
		namespaces: map[string]Since{}, relabelled: map[string]time.Time{}, arrived: map[string]time.Time{},
		edited: map[types.UID]int64{}, dirty: map[string]bool{},
	}
}

// follow hears of edits of Injections and of the labels of namespaces, until ctx
// ends.
func (c *changes) follow(ctx context.Context, from cache.Cache) error {
	for _, kind := range []client.Object{&v1alpha1.Injection{}, &v1alpha1.ClusterInjection{}, namespace("")} {
		informer, err := from.GetInformer(ctx, kind)
		if err != nil {
			return fmt.Errorf("cannot hear of edits: %w", err)
		}

		registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerDetailedFuncs{
			AddFunc: func(o any, isInInitialList bool) {
				if isInInitialList {
					c.hearNamespace(o)
				} else {
					c.hear(nil, o)
				}
			},
			UpdateFunc: c.hear,
			DeleteFunc: c.hearGone,
		})
		if err != nil {
			return fmt.Errorf("cannot hear of edits: %w", err)
		}

		context.AfterFunc(ctx, func() { _ = informer.RemoveEventHandler(registration) })

		if !toolscache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
			return ctx.Err()
		}
	}

	c.followed = time.Now()

	return nil
}

// hearNamespace takes note that all changes of namespaces up to this one are handled.
func (c *changes) hearNamespace(o any) {
	ns, ok := o.(*metav1.PartialObjectMetadata)
	if !ok {
		return
	}

	c.mu.Lock()
	defer c.mu.Unlock()

	if order, err := resourceversion.CompareResourceVersion(ns.ResourceVersion, c.upTo); err != nil || order > 0 {
		c.upTo = ns.ResourceVersion
	}
}

// hear takes note of an object that was made or edited.
func (c *changes) hear(before, after any) {
	defer c.hearNamespace(after)

	switch o := after.(type) {
	case *metav1.PartialObjectMetadata:
		old, _ := before.(*metav1.PartialObjectMetadata)
		if old == nil {
			c.mu.Lock()
			c.arrived[o.Name] = time.Now()
			c.mu.Unlock()
			c.lookAgain(o.Name) // its first pods may have been heard of sooner

			return
		}

		if maps.Equal(old.Labels, o.Labels) {
			return
		}

		now := time.Now()

		c.mu.Lock()
		c.namespaces[o.Name], c.relabelled[o.Name] = Since{now, now}, now
		c.mu.Unlock()
		c.lookAgain(o.Name)
	case client.Object:
		old, _ := before.(client.Object)
		isEdited := old == nil || old.GetGeneration() != o.GetGeneration()
		if isEdited {
			c.mu.Lock()
			c.edited[o.GetUID()] = o.GetGeneration()
			c.mu.Unlock()
		}

		if isEdited || !statusOf(old).Since.Equal(statusOf(o).Since) {
			c.lookAgain(o.GetNamespace())
		}
	}
}

// hearGone takes note of an object that was deleted.
func (c *changes) hearGone(o any) {
	gone, ok := o.(client.Object)
	if !ok {
		c.lookAgain("") // a tombstone

		return
	}

	c.mu.Lock()
	delete(c.edited, gone.GetUID())
	c.mu.Unlock()

	if _, isNamespace := o.(*metav1.PartialObjectMetadata); isNamespace {
		c.mu.Lock()
		delete(c.arrived, gone.GetName())
		c.mu.Unlock()
	} else {
		c.lookAgain(gone.GetNamespace())
	}
}

// lookAgain has the pods of a namespace looked at again, or all.
func (c *changes) lookAgain(namespace string) {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.dirty[namespace] = true
}

// takeDirty returns the namespaces to look at now; "" is all. While those can't be looked
// at, it returns none: most of the time is for what else there is.
func (c *changes) takeDirty(all bool) map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	dirty := c.dirty

	switch {
	case dirty[""] && !all:
		return nil
	case dirty[""]:
		dirty = map[string]bool{"": true}
	}

	c.dirty = map[string]bool{}

	return dirty
}

// hasHeard tells whether an edit was heard of, or a later one.
func (c *changes) hasHeard(of edit) bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.edited[of.uid] >= of.generation
}

// of returns since when a namespace has its labels, if that is known. If the namespace
// has a change that will be heard of, it is late.
func (c *changes) of(o *metav1.PartialObjectMetadata) (since Since, known, late bool) {
	c.mu.Lock()
	defer c.mu.Unlock()

	order, err := resourceversion.CompareResourceVersion(o.ResourceVersion, c.upTo)
	since, known = c.namespaces[o.Name]

	return since, known, err != nil || order > 0
}

// add notes since when a namespace has its labels, unless a change was heard of
// meanwhile. It returns what counts.
func (c *changes) add(namespace string, since Since) Since {
	c.mu.Lock()
	defer c.mu.Unlock()

	if heard, ok := c.namespaces[namespace]; ok {
		return heard
	}

	c.namespaces[namespace] = since

	return since
}

// addUnseen notes a namespace with labels that changed while no leader looked. It returns
// until when that may have been: a watch may tell of it late, as when it lists anew.
func (c *changes) addUnseen(namespace string) (until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()

	until = latestOf(c.followed, c.arrived[namespace])
	c.relabelled[namespace] = until

	return until
}

// forgetUnknown has the API server asked again about a namespace that could not be read,
// or about all.
func (c *changes) forgetUnknown(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()

	maps.DeleteFunc(c.namespaces, func(n string, since Since) bool { return since == unknown && (name == "" || name == n) })
}

// keep forgets all namespaces but these.
func (c *changes) keep(names map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()

	maps.DeleteFunc(c.namespaces, func(name string, _ Since) bool { return !names[name] })
	maps.DeleteFunc(c.relabelled, func(name string, _ time.Time) bool { return !names[name] })
}

// addTo adds when namespaces were relabelled. If there are too many, the oldest are
// forgotten.
func (c *changes) addTo(relabelled map[string]time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()

	for name, at := range c.relabelled {
		relabelled[name] = at.UTC().Truncate(time.Second)
	}

	for len(relabelled) > maxRelabelled {
		name := oldest(relabelled)
		delete(relabelled, name)
		delete(c.relabelled, name)
	}
}
