package patches

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

func TestJoining(t *testing.T) {
	t.Parallel()

	cases := map[string]struct {
		reason, value, there, want string
		first, unique              bool
	}{
		"After":         {reason: "The pod's own comes first.", value: "b", there: "a", want: "a,b"},
		"Before":        {reason: "If asked for.", value: "b", there: "a", want: "b,a", first: true},
		"Empty":         {reason: "No separator alone.", value: "b", want: "b"},
		"There":         {reason: "Whole elements.", value: "b,c", there: "a,b,c,d", want: "a,b,c,d"},
		"Scattered":     {reason: "A list in another order is another text.", value: "b,c", there: "c,b", want: "c,b,b,c"},
		"ScatteredList": {reason: "But no other list.", value: "b,c", there: "c,b", want: "c,b", unique: true},
		"Some":          {reason: "What is missing.", value: "b,c,c", there: "a,b", want: "a,b,c", unique: true},
		"SomeBefore":    {reason: "What is missing.", value: "b,c", there: "b", want: "c,b", first: true, unique: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			j := joining{value: tc.value, separator: ",", first: tc.first, unique: tc.unique}

			got, moved := j.with(tc.there)
			if got != tc.want || got[moved:moved+len(tc.there)] != tc.there {
				t.Errorf("%s want %q, got %q, and what was there at %d", tc.reason, tc.want, got, moved)
			}

			if again, _ := j.with(got); again != got || !j.isIn(got) {
				t.Errorf("joined twice it is %q", again)
			}
		})
	}
}

// joinCase is a pod with one variable, and the Injections that join it.
type joinCase struct {
	own    string
	absent bool
	values []string
	joins  []v1alpha1.Join
}

// set compiles the Injections, in their order.
func (c joinCase) set() *Set {
	all := &Set{}

	for i, value := range c.values {
		in := v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: string(rune('a' + i))}}
		in.Spec.Selector = &metav1.LabelSelector{}
		in.Spec.Env = []v1alpha1.EnvVar{{Name: "X", Value: value, Join: &c.joins[i]}}
		all = all.With(Compile(&in))
	}

	return all
}

func (c joinCase) pod(t *testing.T) []byte {
	t.Helper()

	p := corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}}}}
	if !c.absent {
		p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "X", Value: c.own}}
	}

	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}

	return raw
}

func inject(t *testing.T, set *Set, raw []byte) ([]byte, Result) {
	t.Helper()

	pod, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}

	r := New(t.Context(), pod, set.Match(nil, Namespace{Name: "shop", Known: true}))

	return patchedBy(t, raw, r.Patch), r
}

// FuzzJoin joins three Injections to one variable. A second pass changes nothing,
// each applied one is there, and a pod that comes again after an edit is as if it
// came for the first time.
func FuzzJoin(f *testing.F) {
	for _, own := range []string{"", "own", "b,own", "a b", ",", "own,a,b,c", "c"} {
		for shape := range byte(64) {
			f.Add(own, "a", "b", "c,a", "d", shape, shape/4*5)
		}
	}

	f.Add("é", "è", "é,è", "ü", "e", byte(0xff), byte(0))

	f.Fuzz(func(t *testing.T, own, a, b, c, edited string, shape, more byte) {
		for _, s := range []string{own, a, b, c, edited} {
			if s != strings.ToValidUTF8(s, "") || strings.Contains(s, "$") {
				return
			}
		}

		if a == "" || b == "" || c == "" || edited == "" {
			return
		}

		of := joinCase{own: own, absent: own == "" && shape&1 > 0, values: []string{a, b, c}}
		for i := range 3 {
			j := v1alpha1.Join{Separator: ",", First: shape>>(2*i)&1 > 0, Unique: shape>>(2*i+1)&1 > 0}
			if more>>i&1 > 0 && more&0xf0 == 0 {
				j.Separator = " "
			}

			of.joins = append(of.joins, j)
		}

		checkJoin(t, of, int(more>>3)%3, edited)
	})
}

func checkJoin(t *testing.T, c joinCase, edit int, value string) {
	t.Helper()

	once, first := inject(t, c.set(), c.pod(t))

	if _, second := inject(t, c.set(), once); second.Patch != nil {
		t.Errorf("the second pass changes the pod: %s\nafter %s", second.Patch, first.Patch)
	}

	joined := valueOf(t, once)
	for _, in := range first.Injected {
		if !in.joins["X"].isIn(joined) {
			t.Errorf("%s was applied, and %q is not in %q", in, in.joins["X"].value, joined)
		}
	}

	// A conflict of separators can hide the record of one that was applied.
	if !strings.Contains(joined, c.own) || len(first.Failed) > 0 {
		if len(first.Failed) == 0 {
			t.Errorf("%q is not in %q", c.own, joined)
		}

		return
	}

	edited := c
	edited.values = slices.Clone(c.values)
	edited.values[edit] = value

	want, _ := inject(t, edited.set(), c.pod(t))
	got, _ := inject(t, edited.set(), once)

	if diff := cmp.Diff(valueOf(t, want), valueOf(t, got)); diff != "" {
		t.Errorf("a pod that comes again: -first time +again\n%s", diff)
	}
}

func valueOf(t *testing.T, raw []byte) string {
	t.Helper()

	var p corev1.Pod
	if err := json.Unmarshal(raw, &p); err != nil {
		t.Fatal(err)
	}

	return p.Spec.Containers[0].Env[0].Value
}

// withoutJoined takes the values of variables out of a pod that an Injection joins.
func withoutJoined(pod map[string]any, matches []Match) map[string]any {
	spec, _ := pod["spec"].(map[string]any)
	for _, kind := range []string{"containers", "initContainers"} {
		containers, _ := spec[kind].([]any)
		for _, c := range containers {
			container, _ := c.(map[string]any)
			env, _ := container["env"].([]any)

			for _, e := range env {
				variable, _ := e.(map[string]any)

				name, _ := variable["name"].(string)
				if slices.ContainsFunc(matches, func(m Match) bool { return m.joins[name] != nil }) {
					delete(variable, "value")
				}
			}
		}
	}

	return pod
}
