package objects

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches"
)

// Look tells what is known of an object in a namespace.
func (o *Objects) Look(namespace string, r patches.Required) (s patches.Sight, key string) {
	o.mu.RLock()
	defer o.mu.RUnlock()

	v, s := o.viewOf(r)
	if v == nil {
		return s, ""
	}

	return v.look(namespace, r)
}

// viewOf is the newest view that can answer, or nil and what is known without. The
// caller holds the lock.
func (o *Objects) viewOf(r patches.Required) (*view, patches.Sight) {
	if !o.canSee(r.Kind) {
		return nil, patches.Unseen
	}

	w := o.names[name{r.Kind, r.Name}]
	if w == nil { // the Injection has just been edited, and a review began before that
		return nil, patches.Unloaded
	}

	if o.spawn != nil && len(w.views) == 0 {
		return nil, patches.Unseen
	}

	for _, v := range slices.Backward(w.views) {
		if v.answers() && v.covers(r.Keys) {
			return v, patches.Seen
		}
	}

	return nil, patches.Unloaded
}

// IsNew tells whether the watch of an object has just begun: perhaps its author makes
// the object as well.
func (o *Objects) IsNew(r patches.Required) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()

	w := o.names[name{r.Kind, r.Name}]

	return w != nil && len(w.views) > 0 && time.Since(w.views[len(w.views)-1].begun) < birth
}

// HasNew tells whether any watch has just begun.
func (o *Objects) HasNew() bool {
	o.mu.RLock()
	defer o.mu.RUnlock()

	return time.Since(o.newest) < birth
}

// IsEmpty is true if nothing is required: nearly always.
func (o *Objects) IsEmpty() bool {
	o.mu.RLock()
	defer o.mu.RUnlock()

	return len(o.names) == 0
}

// Changed returns a channel that is closed at the next change. Ask for it before you
// look.
func (o *Objects) Changed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()

	if o.changed == nil {
		o.changed = make(chan struct{})
	}

	return o.changed
}

// change changes a view, and wakes all that wait for a change. If isOther then says that
// Doubt has another answer, the Injections that require the name hear of it.
func (o *Objects) change(v *view, isOther func() bool) {
	var tell []types.NamespacedName

	o.mu.Lock()

	if isOther() {
		tell = o.takeOver(v)
	}

	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}

	o.mu.Unlock()

	told := map[string]bool{}
	for _, injection := range tell {
		if !told[injection.Namespace] {
			told[injection.Namespace] = true
			o.o.Changed(injection.Namespace)
		}
	}
}

// takeOver ends the views before this one, and returns the Injections that require its
// name. The caller holds the lock.
func (o *Objects) takeOver(v *view) (by []types.NamespacedName) {
	w := o.names[v.name]
	if w == nil {
		return nil
	}

	if at := slices.Index(w.views, v); at > 0 {
		for _, before := range w.views[:at] {
			before.end()
			o.views--
		}

		w.views = slices.Clone(w.views[at:])
		o.fill()
	}

	for injection := range w.by {
		by = append(by, injection)
	}

	return by
}

// Doubt says in a sentence why it is not known, or can't be known, whether an object is
// there; "" if it is known. isLoading is true if that passes by itself.
func (o *Objects) Doubt(r patches.Required) (text string, isLoading bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()

	v, s := o.viewOf(r)

	switch what := r.String(); {
	case r.Kind == secret && !o.o.Secrets:
		return what + " counts as there: Telltale may not look at Secrets. The component config/components/secrets lets it.", false
	case v != nil && v.refused:
		return what + " counts as there: Telltale may not list " + resourceOf(r.Kind).Resource + ". Its ClusterRole must have list and watch of them.", false
	case s == patches.Unloaded:
		return what + " is looked for.", true
	case s == patches.Unseen:
		return fmt.Sprintf("%s counts as there: %d names are required already, and no more are watched.", what, o.o.MaxNames), false
	default:
		return "", false
	}
}
