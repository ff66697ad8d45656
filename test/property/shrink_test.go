//go:build apiserver

package property

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4" // kube-apiserver applies patches with it
	"sigs.k8s.io/yaml"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// shrink takes parts away from the pod and from the Injections, as long as the API
// server still accepts the pod and refuses the patched one. It patches the pod
// itself, and judges by the API server's answers alone.
func (r *run) shrink(t *testing.T, p *pair) string {
	t.Helper()

	var pod any
	if err := json.Unmarshal(p.pod, &pod); err != nil {
		t.Fatal(err)
	}

	all := map[string]any{"pod": pod}
	for _, in := range p.matches {
		all[in.name] = tree(decode[v1alpha1.Injection](t, in.raw).Spec)
	}

	kind := kindOf(r.refusal(t, p, all))
	if kind == "" {
		return "(it does not show without the webhook)"
	}

	tries := 1500
	for again := true; again; {
		again = false

		for _, take := range removals(all) {
			undo := take()
			tries--
			if tries > 0 && kindOf(r.refusal(t, p, all)) == kind {
				again = true

				break
			}

			undo()
		}
	}

	smallest, err := yaml.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}

	return lines("the least that shows it:", string(smallest))
}

// refusal is the API server's answer to the patched pod, if it accepts the pod as it
// is.
func (r *run) refusal(t *testing.T, p *pair, all map[string]any) string {
	t.Helper()

	pods := "/api/v1/namespaces/" + p.room.without + "/pods"

	plain := r.create(t.Context(), pods, encode(t, all["pod"]), true)
	if plain.err != nil {
		return ""
	}

	reviewed := tree(json.RawMessage(plain.raw)).(map[string]any)
	metadata := reviewed["metadata"].(map[string]any)
	for _, field := range []string{"uid", "creationTimestamp", "managedFields", "resourceVersion"} {
		delete(metadata, field)
	}

	raw := encode(t, reviewed)

	pod, err := patches.Decode(raw)
	if err != nil {
		return ""
	}

	set := &patches.Set{}

	for name, spec := range all {
		if name != "pod" {
			in := &v1alpha1.Injection{Spec: decode[v1alpha1.InjectionSpec](t, encode(t, spec))}
			in.Namespace, in.Name = p.room.without, name
			set = set.With(patches.Compile(in))
		}
	}

	patch := patches.New(t.Context(), pod, set.Match(pod.Labels, patches.Namespace{Name: p.room.without, Known: true})).Patch
	if patch == nil {
		return ""
	}

	decoded, err := jsonpatch.DecodePatch(patch)
	if err == nil {
		raw, err = decoded.Apply(raw)
	}

	if err != nil {
		return "the patch does not apply: " + err.Error()
	}

	if a := r.create(t.Context(), pods, raw, true); a.err != nil {
		return a.err.Error()
	}

	return ""
}

// removals are all ways to take one thing away, the largest first. Each returns
// its own undoing.
func removals(v any) (all []func() func()) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if k == "pod" || k == "spec" || k == "metadata" || k == "selector" {
				continue
			}

			all = append(all, func() func() {
				was := v[k]
				delete(v, k)

				return func() { v[k] = was }
			})
		}

		for _, k := range slices.Sorted(maps.Keys(v)) {
			if list, ok := v[k].([]any); ok {
				for i := range list {
					all = append(all, func() func() {
						v[k] = slices.Delete(slices.Clone(list), i, i+1)

						return func() { v[k] = list }
					})
				}
			}

			all = append(all, removals(v[k])...)
		}
	case []any:
		for _, e := range v {
			all = append(all, removals(e)...)
		}
	}

	return all
}
