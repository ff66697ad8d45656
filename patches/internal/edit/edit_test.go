package edit

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4" // kube-apiserver applies patches with it
	corev1 "k8s.io/api/core/v1"

	"github.com/telltale-dev/telltale/patches/internal/raw"
)

func env(name, value string) *Item {
	e := corev1.EnvVar{Name: name, Value: value}

	return &Item{Key: name, JSON: Encode(e), Value: e}
}

func text(key, value string) *Item { return &Item{Key: key, JSON: Encode(value), Value: value} }

// TestEdits makes edits of each form, and applies the patch as an API server
// does.
func TestEdits(t *testing.T) {
	const pod = `{"metadata":{"annotations":{"a":"1"}},"spec":{"containers":[{"name":"app","env":[{"name":"B"},{"name":"C"}]},{"name":"side","env":null}]}}`
	cases := map[string]struct {
		reason, want string
		edit         func(*Edits)
	}{
		"Nothing": {"No edit, no patch.", pod, func(*Edits) {}},
		"FirstAndLast": {
			"Those before the pod's own keep their order, too.",
			strings.Replace(pod, `{"name":"B"},{"name":"C"}`, `{"name":"A1"},{"name":"A2"},{"name":"B"},{"name":"C"},{"name":"D"}`, 1),
			func(e *Edits) {
				e.Lists[0].Add(Addition{Item: env("A1", "")}, First)
				e.Lists[0].Add(Addition{Item: env("D", "")}, Last)
				e.Lists[0].Add(Addition{Item: env("A2", "")}, First)
			},
		},
		"Swap": {
			"The others stay where they are.",
			strings.Replace(pod, `{"name":"B"}`, `{"name":"B","value":"x"}`, 1),
			func(e *Edits) {
				at, _ := e.Lists[0].Find("B")
				e.Lists[0].Swap(at, Addition{Item: env("B", "x")})
			},
		},
		"SwapBack": {
			"The pod's own again is no edit.", pod,
			func(e *Edits) {
				at, _ := e.Lists[0].Find("B")
				e.Lists[0].Swap(at, Addition{Item: env("B", "x")})
				e.Lists[0].Swap(at, Addition{Item: env("B", "")})
			},
		},
		"SwapAdded": {
			"An addition can be swapped like the pod's own.",
			strings.Replace(pod, `"env":null`, `"env":[{"name":"A","value":"2"}]`, 1),
			func(e *Edits) {
				e.Lists[3].Add(Addition{Item: env("A", "1")}, First)
				at, _ := e.Lists[3].Find("A")
				e.Lists[3].Swap(at, Addition{Item: env("A", "2")})
			},
		},
		"NoList": {
			"A list that the pod has not is added whole.",
			strings.Replace(pod, `"annotations"`, `"labels":{"x/y":"1","z":"2"},"annotations"`, 1),
			func(e *Edits) {
				e.PodList(Label).Add(Addition{Item: text("x/y", "1")}, Last)
				e.PodList(Label).Add(Addition{Item: text("z", "2")}, Last)
			},
		},
		"Remove": {
			"An annotation goes, another comes.",
			strings.Replace(pod, `{"a":"1"}`, `{"b~/":"2"}`, 1),
			func(e *Edits) {
				e.PodList(Annotation).Add(Addition{Item: text("b~/", "2")}, Last)
				e.Remove("a")
			},
		},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p, err := raw.Decode([]byte(pod))
			if err != nil {
				t.Fatal(err)
			}

			e := New(p)
			c.edit(e)

			got := []byte(pod)
			if patch := e.Patch(); patch != nil {
				decoded, err := jsonpatch.DecodePatch(patch)
				if err != nil {
					t.Fatal(err)
				}

				if got, err = decoded.Apply(got); err != nil {
					t.Fatalf("%v: %s", err, patch)
				}
			}

			if !jsonpatch.Equal([]byte(c.want), got) {
				t.Errorf("%s -want +got\n%s", c.reason, cmp.Diff(c.want, string(got)))
			}
		})
	}
}
