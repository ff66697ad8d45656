package property

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4" // kube-apiserver applies patches with it

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// TestPresence draws Injections and pods. A pod as the webhook answers it has all of
// what was applied. If one part is taken out, that is absent; if a value of one is
// another, that is a change. TestProperty holds the same for pods that an API server
// has created.
func TestPresence(t *testing.T) {
	t.Parallel()

	draws, err := parseDraws(allDraws)
	if err != nil {
		t.Fatal(err)
	}

	var n tried

	for number := range uint64(100) {
		d := newDice(draws, 7, number, 0)
		specs := map[string]v1alpha1.InjectionSpec{}

		for _, in := range d.injections() {
			specs[in.Name] = in.Spec
		}

		pod, err := patches.Decode(encode(t, d.pod()))
		if err != nil {
			t.Fatal(err)
		}

		raw := patched(t, pod.JSON, patches.New(t.Context(), pod, setOf(specs).Match(pod.Labels, shop())).Patch)
		if broken := checkPresence(t, d, specs, raw, &n); broken != "" {
			t.Errorf("%d: %s", number, broken)
		}
	}

	if n.whole < 60 || n.elements < 120 || n.fields < 40 || n.values < 40 {
		t.Errorf("too few of them say anything: %+v", n)
	}
}

func patched(t *testing.T, raw, patch []byte) []byte {
	t.Helper()

	if patch == nil {
		return raw
	}

	decoded, err := jsonpatch.DecodePatch(patch)
	if err == nil {
		raw, err = decoded.Apply(raw)
	}

	if err != nil {
		t.Fatal(err)
	}

	return raw
}

// setOf compiles Injections, by their names in a record.
func setOf(specs map[string]v1alpha1.InjectionSpec) *patches.Set {
	all := &patches.Set{}

	for name, spec := range specs {
		in := newInjection(name, spec)
		in.Namespace = "shop"

		if cluster, ok := strings.CutPrefix(name, "cluster/"); ok {
			in.Namespace, in.Name = "", cluster
		}

		all = all.With(patches.Compile(in))
	}

	return all
}

func shop() patches.Namespace { return patches.Namespace{Name: "shop", Known: true} }

// tried counts Injections that were whole, elements and fields that were taken out,
// and values that were changed.
type tried struct{ whole, elements, fields, values int }

// checkPresence says what is wrong about the presence of the Injections that a pod has
// by its record; "" if nothing is. Of a pod that one of them does not select any more,
// by a label that another one has added, little is known.
func checkPresence(t *testing.T, d dice, specs map[string]v1alpha1.InjectionSpec, raw []byte, n *tried) string {
	t.Helper()

	pod := decode[any](t, raw)
	annotation, _ := get(pod, "metadata", "annotations", v1alpha1.InjectedAnnotation).(string)
	record, _ := v1alpha1.ParseRecord(annotation)
	look := look{t, setOf(specs), pod}

	if slices.ContainsFunc(record, func(r v1alpha1.Recorded) bool { _, ok := look.at(pod, r.Name); return !ok }) {
		return ""
	}

	for _, r := range record {
		if got, _ := look.at(pod, r.Name); got != (patches.Presence{}) {
			return fmt.Sprintf("%s as it was answered: %+v", r.Name, got)
		}

		n.whole++

		for _, p := range partsOf(pod, r.Name, specs) {
			if broken := look.check(d, r.Name, p, n); broken != "" {
				return r.Name + ": " + broken
			}
		}
	}

	return ""
}

// look asks for the presence of Injections on a pod.
type look struct {
	t   *testing.T
	set *patches.Set
	pod any
}

// at looks at the pod as it is in a tree. It returns false if the Injection does not
// select that.
func (l look) at(tree any, name string) (patches.Presence, bool) {
	l.t.Helper()

	pod, err := patches.Decode(encode(l.t, tree))
	if err != nil {
		l.t.Fatal(err)
	}

	matches := l.set.Match(pod.Labels, shop())

	i := slices.IndexFunc(matches, func(m patches.Match) bool { return m.String() == name })
	if i < 0 {
		return patches.Presence{}, false
	}

	return patches.Present(pod, matches)[i], true
}

// check takes a part of an Injection out of the pod, then a field of the part, and
// then changes a value.
func (l look) check(d dice, name string, p part, n *tried) string {
	l.t.Helper()

	got, ok := l.at(without(l.pod, p.at...), name)
	if ok && got.Absent == "" {
		return fmt.Sprintf("%v is gone, and nothing is absent", p.at)
	}

	n.elements++

	if !ok || p.isShared {
		return "" // a label that the Injection selects by; or it may be anyone's
	}

	if fields := p.fields(); len(fields) > 0 {
		at := slices.Concat(p.at, pick(d, fields...))
		if got, _ := l.at(without(l.pod, at...), name); got.Absent == "" && (got.Changed || !isDefaulted(at)) {
			return fmt.Sprintf("%v is gone, and nothing is absent", at)
		}

		n.fields++
	}

	if values := p.values(); len(values) > 0 {
		at := slices.Concat(p.at, pick(d, values...))
		if got, ok := l.at(with(l.pod, other(get(l.pod, at...)), at...), name); ok && got != (patches.Presence{Changed: true}) {
			return fmt.Sprintf("%v has another value, and it is %+v", at, got)
		}

		n.values++
	}

	return ""
}
