package objects

import (
	"context"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"github.com/telltale-dev/telltale/patches"
)

// pauses are those between calls that fail: 0.2 to 0.4 seconds, later 10 to 20. For so
// long a view may be old once the API server is back. A failure after a minute is a
// first one.
func pauses() *wait.Backoff {
	return &wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 1, Steps: 10, Cap: 10 * time.Second}
}

// view is what one watch has found.
type view struct {
	name  name
	keys  []string // those that are looked for, in order
	begun time.Time
	end   context.CancelFunc

	listed  bool // the objects that there are, are known
	refused bool // Telltale may not list them
	// lacking has, by namespace, the keys that an object lacks: mostly none.
	lacking map[string][]string
}

func newView(n name, keys []string) *view {
	return &view{name: n, keys: keys, lacking: map[string][]string{}}
}

// answers tells whether anything is known.
func (v *view) answers() bool { return v.listed || v.refused }

func (v *view) covers(keys []string) bool {
	return !slices.ContainsFunc(keys, func(key string) bool {
		_, found := slices.BinarySearch(v.keys, key)

		return !found
	})
}

func (v *view) look(namespace string, r patches.Required) (s patches.Sight, key string) {
	if v.refused {
		return patches.Unseen, ""
	}

	lacking, there := v.lacking[namespace]
	if !there {
		return patches.Gone, ""
	}

	for _, key := range r.Keys {
		if slices.Contains(lacking, key) {
			return patches.Keyless, key
		}
	}

	return patches.Seen, ""
}

// lacks returns the keys that an object lacks, as far as its metadata tells.
func (v *view) lacks(o *metav1.PartialObjectMetadata) (lacking []string) {
	if len(v.keys) == 0 {
		return nil
	}

	keys, told := patches.Keys(o.ManagedFields)
	if !told {
		return nil
	}

	for _, key := range v.keys {
		if !keys[key] {
			lacking = append(lacking, key)
		}
	}

	return lacking
}

// watch keeps a view until ctx ends.
func (o *Objects) watch(ctx context.Context, v *view) {
	resource := o.client.Resource(resourceOf(v.name.kind))
	named := func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector("metadata.name", v.name.name).String()
	}

	reflector := cache.NewReflectorWithOptions(cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			named(&options)

			return resource.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			named(&options)

			return resource.Watch(ctx, options)
		},
	}, o.client), &metav1.PartialObjectMetadata{}, &store{o, v}, cache.ReflectorOptions{Name: "required " + v.name.kind, Backoff: pauses()})

	for pause := pauses().DelayWithReset(clock.RealClock{}, time.Minute); ctx.Err() == nil; {
		err := reflector.ListAndWatchWithContext(ctx) // nil: mostly, the resourceVersion is too old, so list again
		if err != nil && ctx.Err() == nil {
			o.failed(v, err)
		}

		select {
		case <-ctx.Done():
		case <-time.After(pause()):
		}
	}
}

// failed takes note of a call that failed. Other faults than a missing right pass: then
// the view stays as it was.
func (o *Objects) failed(v *view, err error) {
	o.complain.Do(func() {
		o.o.Log.Error(err, "cannot watch an object that Injections require, will try again", "kind", v.name.kind, "name", v.name.name)
	})

	if apierrors.IsForbidden(err) {
		o.change(v, func() bool {
			was := v.refused
			v.refused = true

			return !was
		})
	}
}

// store hands what a reflector finds to a view.
type store struct {
	o *Objects
	v *view
}

// Replace is for all objects that there are.
func (s *store) Replace(all []any, _ string) error {
	lacking := make(map[string][]string, len(all))

	for _, one := range all {
		if o, ok := one.(*metav1.PartialObjectMetadata); ok {
			lacking[o.Namespace] = s.v.lacks(o)
		}
	}

	s.o.change(s.v, func() bool {
		was := s.v.listed && !s.v.refused
		s.v.lacking, s.v.listed, s.v.refused = lacking, true, false

		return !was
	})

	return nil
}

// Add is for a new object.
func (s *store) Add(one any) error {
	if o, ok := one.(*metav1.PartialObjectMetadata); ok {
		lacking := s.v.lacks(o)

		s.o.change(s.v, func() bool {
			s.v.lacking[o.Namespace] = lacking

			return false
		})
	}

	return nil
}

// Update is for a changed object.
func (s *store) Update(one any) error { return s.Add(one) }

// Delete is for an object that is gone.
func (s *store) Delete(one any) error {
	if o, ok := one.(*metav1.PartialObjectMetadata); ok {
		s.o.change(s.v, func() bool {
			delete(s.v.lacking, o.Namespace)

			return false
		})
	}

	return nil
}

// Resync does nothing: there is no second copy.
func (s *store) Resync() error { return nil }
