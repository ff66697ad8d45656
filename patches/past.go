package patches

import (
	"encoding/json"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/internal/edit"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// past is what a pod's record says about the time when it was created.
type past struct {
	// applied are the matches that were applied as they are now, by their names.
	applied map[string]bool
	// known is true if no other Injection was applied: one could have overridden
	// anything.
	known bool
	// containers are those that got parts of an Injection; nil if that is not known.
	containers map[string]bool
}

func pastOf(p *Pod, matches []Match) past {
	revisions := map[string]string{}
	for _, m := range matches {
		revisions[m.String()] = m.revision
	}

	record, whole := v1alpha1.ParseRecord(p.Annotations[v1alpha1.InjectedAnnotation])
	was := past{applied: map[string]bool{}, known: whole}

	for _, r := range record {
		is := r.Revision != "" && revisions[r.Name] == r.Revision
		was.applied[r.Name] = is
		was.known = was.known && is
	}

	if names := p.Annotations[v1alpha1.ContainersAnnotation]; names != "" {
		was.containers = map[string]bool{}
		for name := range strings.SplitSeq(names, ",") {
			was.containers[name] = true
		}
	}

	return was
}

// lostField is the first field of an item that the pod's element at a place lacks; ""
// if it only has other values.
func lostField(l *edit.List, at edit.Place, it *edit.Item) string {
	var want, have any

	if json.Unmarshal(it.JSON, &want) != nil || json.Unmarshal(l.Own(at), &have) != nil {
		return ""
	}

	return strings.TrimPrefix(missing("", withoutEmpty(want, ""), have), ".")
}

// sourceOf is the ConfigMap or the Secret of an envFrom.
func sourceOf(envFrom any) (ref struct{ configMap, secret string }) {
	e, ok := envFrom.(corev1.EnvFromSource)

	if ok && e.ConfigMapRef != nil {
		ref.configMap = e.ConfigMapRef.Name
	}

	if ok && e.SecretRef != nil {
		ref.secret = e.SecretRef.Name
	}

	return ref
}
