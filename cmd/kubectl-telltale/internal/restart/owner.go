package restart

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// Owner is an object with pods that lack an Injection, or have an old revision.
type Owner struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	// Pods is how many of its pods there are, Lacking how many lack something.
	Pods    int `json:"pods"`
	Lacking int `json:"lacking"`
	// Injections are the Injections, by name, and what they are on these pods:
	// "outdated", "missing", or the reason of a failure.
	Injections map[string]string `json:"injections"`
	// Restart is true if a restart helps. Else Why says why not.
	Restart bool   `json:"restart"`
	Why     string `json:"why,omitempty"`

	object *unstructured.Unstructured
}

// The states of an Injection on a pod, apart from reasons of failures.
const (
	outdated = "outdated"
	missing  = "missing"
)

func (o *Owner) gvk() schema.GroupVersionKind {
	return schema.FromAPIVersionAndKind(o.APIVersion, o.Kind)
}

func (o *Owner) key() types.NamespacedName {
	return types.NamespacedName{Namespace: o.Namespace, Name: o.Name}
}

func (o *Owner) title() string { return strings.ToLower(o.Kind) + "/" + o.Name }

// lacks returns what a pod lacks, by its record, of the Injections that select it.
func lacks(annotations map[string]string, matches []patches.Match) map[string]string {
	injected, _ := v1alpha1.ParseRecord(annotations[v1alpha1.InjectedAnnotation])
	failed, _ := v1alpha1.ParseRecord(annotations[v1alpha1.FailedAnnotation])
	lack := map[string]string{}

	for _, m := range matches {
		name := m.Injection.String()
		has := slices.IndexFunc(injected, func(r v1alpha1.Recorded) bool { return r.Name == name })
		why := slices.IndexFunc(failed, func(r v1alpha1.Recorded) bool { return r.Name == name || r.Name == "*" })

		switch {
		case has >= 0 && injected[has].Revision != m.Injection.Revision():
			lack[name] = outdated
		case has >= 0:
		case why >= 0:
			lack[name] = failed[why].Reason
		default:
			lack[name] = missing
		}
	}

	return lack
}

// toRestart are the owners that a restart helps.
func toRestart(all []*Owner) []*Owner {
	return slices.DeleteFunc(slices.Clone(all), func(o *Owner) bool { return !o.Restart })
}

// sortOwners puts those to restart first.
func sortOwners(all []*Owner) {
	slices.SortFunc(all, func(a, b *Owner) int {
		restart := func(o *Owner) int {
			if o.Restart {
				return 0
			}

			return 1
		}

		return cmp.Or(cmp.Compare(restart(a), restart(b)), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.title(), b.title()))
	})
}

func cells(all []*Owner) [][]string {
	rows := make([][]string, len(all))

	for i, o := range all {
		action := "restart"
		if !o.Restart {
			action = "none: " + o.Why
		}

		var injections []string
		for _, name := range slices.Sorted(maps.Keys(o.Injections)) {
			injections = append(injections, name+" ("+o.Injections[name]+")")
		}

		rows[i] = []string{o.Namespace, o.title(), fmt.Sprintf("%d/%d", o.Lacking, o.Pods), strings.Join(injections, ", "), action}
	}

	return rows
}
