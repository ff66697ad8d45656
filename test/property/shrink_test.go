//go:build apiserver

package property

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4" // kube-apiserver applies patches with it
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// shrink takes parts away from the pod and from the Injections, as long as they
// break the property in the same way. It patches the pod itself. The answer has
// the form of a case of testdata.
func (r *run) shrink(t *testing.T, p *pair) string {
	t.Helper()

	first := p
	if p.origin != nil {
		first = p.origin
	}

	injections := map[string]any{}
	for _, in := range first.matches {
		injections[in.name] = tree(in.spec)
	}

	all := map[string]any{"pod": tree(json.RawMessage(first.pod)), "injections": injections}
	note := "the least that shows it:"
	kind := kindOf(r.texts[p])

	if kindOf(r.fault(t, p, all)) != kind {
		note, kind = "it does not show without the webhook:", ""
	}

	tries := 1500
	for again := kind != ""; again; {
		again = false

		for _, take := range removals(all) {
			undo := take()
			tries--
			if tries > 0 && kindOf(r.fault(t, p, all)) == kind {
				again = true

				break
			}

			undo()
		}
	}

	smallest, err := yaml.Marshal(map[string]any{"pod": all["pod"], "injections": all["injections"], "law": p.room.law})
	if err != nil {
		t.Fatal(err)
	}

	return lines(note, string(smallest))
}

// fault says how a pod and Injections break the property, if they do.
func (r *run) fault(t *testing.T, p *pair, all map[string]any) string {
	t.Helper()

	room := &room{without: p.room.without, law: p.room.law}
	for name, spec := range all["injections"].(map[string]any) {
		room.injections = append(room.injections, declared{name: name, spec: decode[v1alpha1.InjectionSpec](t, encode(t, spec))})
	}

	q := &pair{room: room, pod: encode(t, all["pod"])}
	q.matches = room.matching(t, decode[*corev1.Pod](t, q.pod))

	with, broken := r.patched(t, q)
	if broken != "" || p.origin == nil || with.raw == nil {
		return broken
	}

	_, broken = r.patched(t, q.second(t, with.raw))

	return broken
}

// patched creates a pod as it is, and then as Telltale patches it. It says how
// that breaks the property, if the API server accepts the pod as it is.
func (r *run) patched(t *testing.T, p *pair) (with answer, broken string) {
	t.Helper()

	pods := "/api/v1/namespaces/" + p.room.without + "/pods"

	without := r.create(t.Context(), pods, p.pod, true)
	if without.err != nil {
		return without, ""
	}

	patch, raw := p.patch(t, without.raw)
	if patch == nil {
		return without, ""
	}

	decoded, err := jsonpatch.DecodePatch(patch)
	if err == nil {
		raw, err = decoded.Apply(raw)
	}

	if err != nil {
		return answer{}, "the patch does not apply: " + err.Error()
	}

	with = r.create(t.Context(), pods, raw, true)

	return with, p.check(t, without, with)
}

// patch is what Telltale answers to the pod that the API server made, and the
// pod as it was asked about it.
func (p *pair) patch(t *testing.T, made []byte) (patch, raw []byte) {
	t.Helper()

	reviewed := decode[map[string]any](t, made)
	metadata := reviewed["metadata"].(map[string]any)
	for _, field := range []string{"uid", "creationTimestamp", "managedFields", "resourceVersion"} {
		delete(metadata, field)
	}

	raw = encode(t, reviewed)

	pod, err := patches.Decode(raw)
	if err != nil {
		return nil, nil
	}

	set := &patches.Set{}

	for _, d := range p.matches {
		in := newInjection(d.name, d.spec)
		in.Namespace = p.room.without
		set = set.With(patches.Compile(in))
	}

	namespace := patches.Namespace{Name: p.room.without, Labels: p.room.law.Security, Known: true, Limits: p.room.law.limits(), Quotas: p.room.law.quotas(), Objects: p.room.law}

	return patches.New(t.Context(), pod, set.Match(pod.Traits(), namespace)).Patch, raw
}

// removals are all ways to take one thing away, the largest first. Each returns
// its own undoing.
func removals(v any) (all []func() func()) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if k == "pod" || k == "injections" || k == "spec" || k == "metadata" || k == "selector" {
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
