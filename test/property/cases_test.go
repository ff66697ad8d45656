//go:build apiserver

package property

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// example is a pair that once broke the property, in the form that the report
// prints it in.
type example struct {
	Draws      draws                             `json:"draws,omitempty"` // what must be drawn for it
	Law        law                               `json:"law,omitzero"`
	Pod        any                               `json:"pod"`
	Injections map[string]v1alpha1.InjectionSpec `json:"injections"`
}

// cases makes the pairs of testdata.
func (r *run) cases(t *testing.T) (all []*pair) {
	t.Helper()

	paths, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("cannot find the cases: %v", err)
	}

	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}

		var e example
		if err := yaml.UnmarshalStrict(b, &e); err != nil {
			t.Fatalf("%s: %v", path, err)
		}

		if !slices.ContainsFunc(e.Draws, func(one draw) bool { return !r.draws.has(one) }) {
			all = append(all, r.caseOf(t, strings.TrimSuffix(filepath.Base(path), ".yaml"), e))
		}
	}

	return all
}

func (r *run) caseOf(t *testing.T, name string, e example) *pair {
	t.Helper()

	room := r.openRoom(t, strings.ReplaceAll(name, "_", "-"), e.Law, map[string]string{})

	for name, spec := range e.Injections {
		in := newInjection(name, spec)
		before := len(room.injections)
		room.injections = r.declare(t, room.injections, name, "/apis/telltale.dev/v1alpha1/namespaces/"+room.with+"/injections", encode(t, in))

		if len(room.injections) == before {
			t.Errorf("case %s: Injection %q was refused", name, in.Name)
		}
	}

	p := &pair{name: "case " + name, room: room, dryRun: true, pod: encode(t, e.Pod), again: e.Draws.has(again)}
	p.matches = room.matching(t, decode[*corev1.Pod](t, p.pod))

	return p
}
