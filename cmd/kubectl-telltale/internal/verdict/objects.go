package verdict

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// held are the ConfigMaps and Secrets that are known. It is a patches.Objects.
type held struct {
	// there are the objects, and their keys; nil if these can't be told.
	there map[held1]map[string]bool
	// asked are those that are there only if they are held: in a namespace, or, with an
	// empty one, in all others.
	asked map[held1]bool
}

// held1 is the name of one object.
type held1 struct{ kind, namespace, name string }

func newHeld() *held { return &held{there: map[held1]map[string]bool{}, asked: map[held1]bool{}} }

// add takes an object. One that is in files judges the name in all namespaces: where it
// is not, it is not there.
func (h *held) add(o client.Object) bool {
	switch o := o.(type) {
	case *corev1.ConfigMap:
		keys := keysOf(o.Data)
		maps.Copy(keys, keysOf(o.BinaryData))
		h.put("ConfigMap", o, keys)
		h.asked[held1{"ConfigMap", "", o.Name}] = true
	case *corev1.Secret:
		keys := keysOf(o.Data)
		maps.Copy(keys, keysOf(o.StringData))
		h.put("Secret", o, keys)
		h.asked[held1{"Secret", "", o.Name}] = true
	case *metav1.PartialObjectMetadata:
		keys, told := patches.Keys(o.ManagedFields)
		if !told {
			keys = nil
		}

		h.put(o.Kind, o, keys)
	default:
		return false
	}

	return true
}

func (h *held) put(kind string, o client.Object, keys map[string]bool) {
	h.there[held1{kind, o.GetNamespace(), o.GetName()}] = keys
}

func keysOf[V any](data map[string]V) map[string]bool {
	keys := map[string]bool{}
	for key := range data {
		keys[key] = true
	}

	return keys
}

// Look tells what is known of an object in a namespace.
func (h *held) Look(namespace string, r patches.Required) (s patches.Sight, key string) {
	keys, there := h.there[held1{r.Kind, namespace, r.Name}]

	switch {
	case !there && (h.asked[held1{r.Kind, namespace, r.Name}] || h.asked[held1{r.Kind, "", r.Name}]):
		return patches.Gone, ""
	case !there:
		return patches.Unseen, ""
	case keys == nil:
		return patches.Seen, ""
	}

	if at := slices.IndexFunc(r.Keys, func(key string) bool { return !keys[key] }); at >= 0 {
		return patches.Keyless, r.Keys[at]
	}

	return patches.Seen, ""
}

// Missing makes it known that an object is not there.
func (c *Cluster) Missing(kind, namespace, name string) {
	c.held.asked[held1{kind, namespace, name}] = true
}

// Have makes an object known that is there, by its metadata.
func (c *Cluster) Have(o *metav1.PartialObjectMetadata) { c.held.add(o) }

// unseen are the objects that an Injection requires, and that may be there or not.
func (c *Cluster) unseen(in *patches.Injection, namespace string) (all []patches.Required) {
	for _, r := range in.Required() {
		if s, _ := c.held.Look(namespace, r); s == patches.Unseen {
			all = append(all, r)
		}
	}

	return all
}

// Ignores tells whether Telltale does not look whether an object is there, by the
// status of an Injection that requires it.
func Ignores(status *v1alpha1.InjectionStatus, r patches.Required) bool {
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ReadyCondition)

	return ready != nil && strings.Contains(ready.Message, r.String()+" counts as there: ")
}
