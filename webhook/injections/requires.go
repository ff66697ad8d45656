package injections

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/internal/oneline"
	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/objects"
)

const (
	// requiredWait is how long to wait, at the start, for the objects that Injections
	// require. After that, an Injection whose objects are not known fails by itself.
	requiredWait = 10 * time.Second
	// young is how long a namespace may still get the objects that its author has
	// applied together with its first pods.
	young = time.Minute
	// maxReady is the longest text of Ready, in bytes: the API server takes 32 KiB.
	maxReady = 16 << 10
)

// namespaceOf is what is kept of a namespace.
type namespaceOf struct {
	labels  map[string]string
	created time.Time
}

// Require has the Injections ask for the objects that they require. Without it, each
// counts as there. Call it before Watch.
func (in *Injections) Require(o *objects.Objects) {
	o.OnChange(in.changed)
	in.objects = o
}

// require has the objects watched that an Injection requires.
func (in *Injections) require(compiled *patches.Injection) {
	required := compiled.Required()
	if compiled.Mode() == v1alpha1.Paused {
		required = nil
	}

	in.objects.Require(types.NamespacedName{Namespace: compiled.Namespace, Name: compiled.Name}, required)
}

func (in *Injections) waitRequired(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, requiredWait)
	defer cancel()

	in.objects.WaitKnown(ctx)
}

// Await returns a channel if a pod lacks an object that may be about to come: its
// namespace is young, or the Injection is. The channel is closed once any object has
// changed; ask again then. It is nil if there is nothing to wait for: nearly always.
func (in *Injections) Await(pod patches.Traits, namespace string) <-chan struct{} {
	if in.objects.IsEmpty() {
		return nil
	}

	isYoung := in.isYoung(namespace)
	if !isYoung && !in.objects.HasNew() {
		return nil
	}

	changed := in.objects.Changed() // before the look

	matches, _ := in.Match(pod, namespace)
	for i := range matches {
		if matches[i].Err() != nil {
			continue // no pod gets it
		}

		for _, r := range matches[i].Required() {
			s, _ := matches[i].Look(r)
			if (s == patches.Gone || s == patches.Keyless || s == patches.Unloaded) && (isYoung || in.objects.IsNew(r)) {
				return changed
			}
		}
	}

	return nil
}

// isYoung tells whether a namespace was made just now. One that is not known yet is.
func (in *Injections) isYoung(namespace string) bool {
	known, ok := in.namespaces.Load(namespace)

	return !ok || time.Since(known.(namespaceOf).created) < young
}

// loading is an obstacle while an object that an Injection requires is looked for.
func (in *Injections) loading(compiled *patches.Injection) obstacle {
	for _, r := range compiled.Required() {
		if text, isLoading := in.objects.Doubt(r); isLoading {
			return obstacle{reasonLoading, text}
		}
	}

	return obstacle{}
}

// warn adds to the condition Ready which of the objects that an Injection requires can't
// be looked at.
func (in *Injections) warn(status *v1alpha1.InjectionStatus, compiled *patches.Injection) {
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ReadyCondition)
	if ready == nil || ready.Status != metav1.ConditionTrue && ready.Reason != reasonPreview {
		return
	}

	for _, r := range compiled.Required() {
		if text, isLoading := in.objects.Doubt(r); text != "" && !isLoading {
			ready.Message = oneline.Cut(ready.Message+" "+text, maxReady)
		}
	}
}
