//go:build apiserver

package property

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// check says how the property is broken, or returns "". The pod was accepted
// without Telltale.
func (p *pair) check(t *testing.T, without, with answer) string {
	t.Helper()

	if with.err != nil {
		for _, in := range p.matches {
			if in.denies() && strings.Contains(with.err.Error(), fmt.Sprintf("Injection %q not applied: ", strings.TrimPrefix(in.name, "cluster/"))) {
				return ""
			}
		}

		if strings.Contains(with.err.Error(), "exceeded quota") {
			return "" // others use it up meanwhile: it can't be foreseen
		}

		return "refused with Telltale: " + with.err.Error()
	}

	before, after := decode[*corev1.Pod](t, without.raw), decode[*corev1.Pod](t, with.raw)

	r, there := recordOf(after)
	if len(p.matches) == 0 {
		const text = "nothing selects the pod, and it was changed"
		if !p.room.isPreviewed(t, before) { // the record of previews may have no space
			return checkUntouched(t, text, without.raw, with.raw)
		}

		return checkUntouched(t, text, withoutRecord(t, without.raw), withoutRecord(t, with.raw))
	}

	if !there {
		return p.checkNoRecord(t, after, without, with)
	}

	return p.checkRecord(t, r, before, after, without, with)
}

func (p *pair) checkRecord(t *testing.T, r record, before, after *corev1.Pod, without, with answer) string {
	t.Helper()

	var injected []declared

	for _, in := range p.matches {
		reason, failed := r.failed[in.name]

		switch is := slices.Contains(r.injected, in.name); {
		case is == failed:
			return fmt.Sprintf("the record has %s %t as injected and %t as failed (%s)", in.name, is, failed, reason)
		case (reason == "InjectionUnmet") != p.room.law.lacks(in.spec) && reason != "InjectionInvalid":
			return fmt.Sprintf("%s has the reason %q, and what it requires is there: %t", in.name, reason, !p.room.law.lacks(in.spec))
		case reason == "InjectionError", reason == "InjectionTimeout", reason == "InjectionOverload", reason == "InjectionsNotLoaded":
			return fmt.Sprintf("%s failed as %s", in.name, reason)
		case is:
			injected = append(injected, in)
		}
	}

	if n := len(r.injected) + len(r.failed); n != len(p.matches) {
		return fmt.Sprintf("the record has %d Injections, and %d select the pod", n, len(p.matches))
	}

	for _, in := range injected {
		if lack := p.lacks(in, injected, before, after); lack != "" {
			return fmt.Sprintf("%s is not there whole, and the record says it is: %s", in.name, lack)
		}
	}

	if broken := p.checkPresence(t, with.raw); broken != "" {
		return broken
	}

	if p.first != nil {
		return p.checkSecond(t, r, after)
	}

	return p.checkUnchanged(t, injected, without.raw, with.raw)
}

// checkPresence holds that the audit sees what was applied, and what is taken away of
// it.
func (p *pair) checkPresence(t *testing.T, raw []byte) string {
	t.Helper()

	specs := map[string]v1alpha1.InjectionSpec{}
	for _, in := range p.matches {
		specs[in.name] = in.spec
	}

	return checkPresence(t, newDice(nil, uint64(len(raw)), 0, 0), specs, raw, &tried{})
}

// checkSecond holds that a pod that was injected stays as it is. It need not
// where one Injection overrides another, where others select it now by what was
// added, or where one that had failed finds what it lacked.
func (p *pair) checkSecond(t *testing.T, now record, after *corev1.Pod) string {
	t.Helper()

	first := decode[*corev1.Pod](t, p.first)
	was, _ := recordOf(first)

	for _, in := range p.matches {
		_, failed := was.failed[in.name]
		if overrides(in.spec) || failed == slices.Contains(was.injected, in.name) || failed && slices.Contains(now.injected, in.name) {
			return ""
		}
	}

	for _, name := range was.injected {
		if reason, failed := now.failed[name]; failed {
			return fmt.Sprintf("a pod made from a live one: %s was injected, and fails as %s", name, reason)
		}
	}

	if len(p.matches) != len(was.injected)+len(was.failed) {
		return ""
	}

	// A failed Injection may fail for another reason, such as a conflict with a later
	// addition.
	for _, annotations := range []map[string]string{first.Annotations, after.Annotations} {
		delete(annotations, v1alpha1.FailedAnnotation)
		delete(annotations, v1alpha1.PreviewedAnnotation)
	}

	return checkUntouched(t, "a pod made from a live one was changed", encode(t, first), encode(t, after))
}

// checkNoRecord is for pods without space for the record: warnings in the answer
// still name the failures.
func (p *pair) checkNoRecord(t *testing.T, after *corev1.Pod, without, with answer) string {
	t.Helper()

	n := 0
	for k, v := range after.Annotations {
		n += len(k) + len(v)
	}

	if n < 220<<10 && len(with.raw) < 1<<20 {
		return fmt.Sprintf("no record, on a pod of %d bytes with %d in its annotations", len(with.raw), n)
	}

	var injected []declared

	for _, in := range p.matches {
		if !slices.ContainsFunc(with.warnings, func(w string) bool {
			return strings.Contains(w, fmt.Sprintf("%q", strings.TrimPrefix(in.name, "cluster/"))) && strings.Contains(w, "not applied")
		}) {
			injected = append(injected, in)
		}
	}

	for _, in := range injected {
		if lack := p.lacks(in, injected, decode[*corev1.Pod](t, without.raw), after); lack != "" {
			return fmt.Sprintf("no record and no warning, and %s is not there whole: %s", in.name, lack)
		}
	}

	return ""
}

// lacks names the part of an Injection that a pod does not have, or returns "".
func (p *pair) lacks(in declared, others []declared, before, after *corev1.Pod) string {
	own := map[string]bool{}

	for _, c := range before.Spec.InitContainers {
		isSidecar := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		own[c.Name] = in.spec.Containers.Init || isSidecar && in.spec.Containers.Sidecars
	}

	for _, c := range before.Spec.Containers {
		own[c.Name] = true
	}

	for _, o := range others {
		for _, c := range o.spec.InitContainers {
			own[c.Name] = false // if a pod has it, too, it is not the pod's own any more
		}
	}

	for _, c := range slices.Concat(after.Spec.InitContainers, after.Spec.Containers) {
		if !own[c.Name] || !reaches(in.spec.Containers, c.Name) {
			continue
		}

		for _, l := range perContainer {
			if lack := l.lack(in, others, c); lack != "" {
				return fmt.Sprintf("%s of container %q", lack, c.Name)
			}
		}
	}

	for _, l := range perPod {
		if lack := l.lack(in, others, after); lack != "" {
			return lack
		}
	}

	return ""
}

// elements reads one list of a spec, and the same list of an object that it is
// injected into, both as JSON by key.
type elements[T any] struct {
	name     string
	field    string // of the spec
	declared func(v1alpha1.InjectionSpec) map[string]any
	have     func(T) map[string]any
}

var perContainer = []elements[corev1.Container]{
	{"env", "env", func(s v1alpha1.InjectionSpec) map[string]any { return declaredEnv(s.Env) }, func(c corev1.Container) map[string]any { return envByName(c.Env) }},
	{"envFrom", "envFrom", func(s v1alpha1.InjectionSpec) map[string]any { return envFroms(s.EnvFrom) }, func(c corev1.Container) map[string]any { return envFroms(c.EnvFrom) }},
	{"mount", "volumeMounts", func(s v1alpha1.InjectionSpec) map[string]any { return mountByPath(s.VolumeMounts) }, func(c corev1.Container) map[string]any { return mountByPath(c.VolumeMounts) }},
}

var perPod = []elements[*corev1.Pod]{
	{
		"volume", "volumes", func(s v1alpha1.InjectionSpec) map[string]any { return byKey(s.Volumes, volumeName) },
		func(p *corev1.Pod) map[string]any { return byKey(p.Spec.Volumes, volumeName) },
	},
	{
		"init container", "initContainers", func(s v1alpha1.InjectionSpec) map[string]any { return byKey(s.InitContainers, containerName) },
		func(p *corev1.Pod) map[string]any { return byKey(p.Spec.InitContainers, containerName) },
	},
	{
		"pull secret", "imagePullSecrets", func(s v1alpha1.InjectionSpec) map[string]any { return byKey(s.ImagePullSecrets, secretName) },
		func(p *corev1.Pod) map[string]any { return byKey(p.Spec.ImagePullSecrets, secretName) },
	},
	{"label", "labels", func(s v1alpha1.InjectionSpec) map[string]any { return values(s.Labels) }, func(p *corev1.Pod) map[string]any { return values(p.Labels) }},
	{"annotation", "annotations", func(s v1alpha1.InjectionSpec) map[string]any { return values(s.Annotations) }, func(p *corev1.Pod) map[string]any { return values(p.Annotations) }},
}

func (l elements[T]) lack(in declared, others []declared, from T) string {
	have := l.have(from)

	for key, want := range l.declared(in.spec) {
		got, ok := have[key]
		shared := onConflict(in.spec, l.field) == v1alpha1.KeepPod || slices.ContainsFunc(others, func(o declared) bool {
			_, also := l.declared(o.spec)[key]

			return also && o.name != in.name
		})

		if !ok || !shared && !includes(want, got) {
			return fmt.Sprintf("%s %s lacks %s (want %v, got %v)", l.name, key, strings.TrimPrefix(lost(want, got), "."), want, got)
		}
	}

	return ""
}

func envByName(l []corev1.EnvVar) map[string]any {
	return byKey(l, func(e corev1.EnvVar) string { return e.Name })
}

func mountByPath(l []corev1.VolumeMount) map[string]any {
	return byKey(l, func(m corev1.VolumeMount) string { return path.Clean(m.MountPath) })
}

func envFroms(l []corev1.EnvFromSource) map[string]any {
	return byKey(l, func(e corev1.EnvFromSource) string { return fmt.Sprint(tree(e)) })
}

func volumeName(v corev1.Volume) string               { return v.Name }
func containerName(c corev1.Container) string         { return c.Name }
func secretName(r corev1.LocalObjectReference) string { return r.Name }

func byKey[E any](list []E, key func(E) string) map[string]any {
	m := map[string]any{}
	for _, e := range list {
		k := key(e)
		if _, twice := m[k]; twice { // one path in two spellings
			m[k] = either{m[k], tree(e)}
		} else {
			m[k] = tree(e)
		}
	}

	return m
}

// either is two elements of one key.
type either [2]any

func values(m map[string]string) map[string]any {
	all := map[string]any{}
	for k, v := range m {
		all[k] = v
	}

	return all
}

// includes tells whether all of a value is there; there may be more.
func includes(want, got any) bool {
	if e, ok := want.(either); ok {
		return includes(e[0], got) && includes(e[1], got)
	}

	if j, ok := want.(joinedValue); ok {
		return j.isIn(got)
	}

	if e, ok := got.(either); ok {
		return includes(want, e[0]) || includes(want, e[1])
	}

	switch w := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		for k, v := range w {
			if _, ok := g[k]; !ok && isZero(v) {
				continue
			}

			if !includes(v, g[k]) {
				return false
			}
		}

		return true
	case []any:
		g, _ := got.([]any)
		for _, e := range g {
			if len(w) > 0 && includes(w[0], e) {
				w = w[1:]
			}
		}

		return len(w) == 0
	case string:
		return want == got || w == "" && got == nil
	default:
		return want == got
	}
}

// lost is the path of something that a value has and another does not include.
func lost(want, got any) string {
	w, _ := want.(map[string]any)
	g, _ := got.(map[string]any)

	for _, k := range slices.Sorted(maps.Keys(w)) {
		if !includes(map[string]any{k: w[k]}, map[string]any{k: g[k]}) {
			return "." + k + lost(w[k], g[k])
		}
	}

	list, _ := want.([]any)
	has, _ := got.([]any)

	for i := range min(len(list), len(has)) {
		if !includes(list[i], has[i]) {
			return fmt.Sprintf("[%d]", i) + lost(list[i], has[i])
		}
	}

	return ""
}

func isZero(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return !slices.ContainsFunc(slices.Collect(maps.Values(v)), func(e any) bool { return !isZero(e) })
	case []any:
		return len(v) == 0
	default:
		return v == nil || v == "" || v == false || v == 0.0
	}
}

// tokenVolume has a random name, new for each pod.
var tokenVolume = regexp.MustCompile(`kube-api-access-\w{5}`)

// checkUnchanged checks that the pod still has everything that it had before.
func (p *pair) checkUnchanged(t *testing.T, injected []declared, without, with []byte) string {
	t.Helper()

	if slices.ContainsFunc(injected, func(in declared) bool { return overrides(in.spec) }) {
		return ""
	}

	if slices.ContainsFunc(injected, func(in declared) bool {
		return slices.ContainsFunc(in.spec.Env, func(e v1alpha1.EnvVar) bool { return e.Join != nil })
	}) {
		before, after, broken := takeJoined(t, injected, without, with)
		if broken != "" {
			return broken
		}

		without, with = encode(t, before), encode(t, after)
	}

	if !includes(contents(t, without).Spec, contents(t, with).Spec) {
		return fmt.Sprintf("something of the pod was changed: %s", with)
	}

	return ""
}

// checkUntouched finds nothing else either.
func checkUntouched(t *testing.T, otherwise string, before, after []byte) string {
	t.Helper()

	b, a := tree(contents(t, before)), tree(contents(t, after))
	if !includes(b, a) || !includes(a, b) {
		return fmt.Sprintf("%s: {%s", otherwise, cmp.Diff(b, a))
	}

	return ""
}

// content is what of a pod is its owner's.
type content struct {
	Metadata struct {
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec any `json:"spec"`
}

func contents(t *testing.T, pod []byte) content {
	t.Helper()

	return decode[content](t, tokenVolume.ReplaceAll(pod, []byte("token")))
}
