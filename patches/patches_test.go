package patches

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/internal/edit"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// TestAllOrNothing takes the Injections that fail out of every golden case: the
// pod is the same without them, but for the record.
func TestAllOrNothing(t *testing.T) {
	failed := 0

	for _, dir := range goldenCases(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			with := readCase(t, dir)
			pod, result := with.run(t, with.pod)

			without := readCase(t, dir)
			for _, f := range result.Failed {
				failed++
				without.set = without.set.Without(f.Injection.Namespace, f.Injection.Name)
			}

			want, _ := without.run(t, without.pod)
			if diff := cmp.Diff(withoutRecord(t, want), withoutRecord(t, pod)); diff != "" {
				t.Errorf("a failed Injection left something: -want +got\n%s", diff)
			}
		})
	}

	if failed < 10 {
		t.Errorf("only %d failures were looked at", failed)
	}
}

func withoutRecord(t *testing.T, raw []byte) map[string]any {
	t.Helper()

	var pod map[string]any
	decode(t, raw, &pod, false)

	metadata, _ := pod["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	delete(annotations, v1alpha1.InjectedAnnotation)
	delete(annotations, v1alpha1.FailedAnnotation)
	delete(annotations, v1alpha1.JoinedAnnotation)
	delete(annotations, v1alpha1.PreviewedAnnotation)

	if len(annotations) == 0 {
		delete(metadata, "annotations")
	}

	return pod
}

func TestDecode(t *testing.T) {
	cases := map[string]struct {
		reason, raw, want string
	}{
		"NotJSON":    {"What is no JSON is no pod.", `{"metadata":`, "cannot decode the pod: jsontext: unexpected EOF"},
		"NoMetadata": {"A patch of its annotations would not apply.", `{"spec":{}}`, "it has no metadata or no spec"},
		"NullSpec":   {"Null is not there.", `{"metadata":{},"spec":null}`, "it has no metadata or no spec"},
		"WrongCase":  {"The API server's names are case-sensitive.", `{"Metadata":{},"spec":{}}`, "it has no metadata or no spec"},
		"WrongType":  {"A list that is none.", `{"metadata":{},"spec":{"containers":{}}}`, "unmarshal JSON object"},
		"Twice":      {"It is not clear which is meant.", `{"metadata":{},"spec":{},"spec":{}}`, `duplicate object member name "spec"`},
		"Secret": {
			"A value may be a secret.", `{"metadata":{},"spec":{"containers":[{"env":[{"name":"PIN","value":1234}]}]}}`,
			`unmarshal JSON number into Go string within "/spec/containers/0/env/0/value"`,
		},
		"Smallest": {"The least there is.", `{"metadata":{},"spec":{}}`, "<nil>"},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Decode([]byte(c.raw))
			if got := fmt.Sprint(err); !strings.Contains(got, c.want) {
				t.Errorf("%s want %q, got %q", c.reason, c.want, got)
			}
		})
	}
}

// TestRefuse writes only the record, on whatever annotations the pod has.
func TestRefuse(t *testing.T) {
	matches := []Match{{Injection: injection("shop", "proxy", 0, nil)}, {Injection: clusterInjection("ca", nil)}}
	revision := matches[0].Revision() // they add the same

	cases := map[string]struct {
		reason, pod, want string
		matches           []Match
	}{
		"NoAnnotations": {
			reason:  "The map is made.",
			pod:     `{"metadata":{},"spec":{}}`,
			matches: matches,
			want: `[{"op":"add","path":"/metadata/annotations",` +
				`"value":{"telltale.dev/failed":"proxy@` + revision + `=InjectionUnsafe,cluster/ca@` + revision + `=InjectionUnsafe"}}]`,
		},
		"OtherAnnotations": {
			reason: "They stay, and no match means all Injections.",
			pod:    `{"metadata":{"annotations":{"a":"b"}},"spec":{}}`,
			want:   `[{"op":"add","path":"/metadata/annotations/telltale.dev~1failed","value":"*=InjectionUnsafe"}]`,
		},
		"AnnotationsFull": {
			reason: "Better no record than no pod.",
			pod:    `{"metadata":{"annotations":{"a":"` + strings.Repeat("x", maxAnnotations-100) + `"}},"spec":{}}`,
		},
		"PodFull": {
			reason: "What is too large for etcd is no pod either.",
			pod:    `{"metadata":{},"spec":{"containers":[{"name":"app","args":["` + strings.Repeat("x", maxPod) + `"]}]}}`,
		},
		"AnnotationsFullAndStale": {
			reason: "A record that came with the pod's template would be a lie.",
			pod: `{"metadata":{"annotations":{"telltale.dev/injected":"x","a":"` + strings.Repeat("x", maxAnnotations-100) +
				`"}},"spec":{}}`,
			want: `[{"op":"remove","path":"/metadata/annotations/telltale.dev~1injected"}]`,
		},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			pod, err := Decode([]byte(c.pod))
			if err != nil {
				t.Fatal(err)
			}

			if diff := cmp.Diff(c.want, string(Refuse(pod, c.matches, Unsafe))); diff != "" {
				t.Errorf("%s -want +got\n%s", c.reason, diff)
			}
		})
	}
}

// TestRecordIsBounded cuts a record that is too long after a whole entry.
func TestRecordIsBounded(t *testing.T) {
	entries := make([]string, 1000)
	for i := range entries {
		entries[i] = strings.Repeat("x", 99)
	}

	got := join(entries)
	if want := maxRecord/100*100 + len("..."); len(got) != want || !strings.HasSuffix(got, "x,...") {
		t.Errorf("record has %d bytes and ends in %q; want %d", len(got), got[len(got)-8:], want)
	}
}

// TestAnnotationsTooLarge keeps an Injection from making a pod too large for
// the API server.
func TestAnnotationsTooLarge(t *testing.T) {
	in := injection("shop", "big", 0, nil)
	in.items[edit.Annotation] = []edit.Item{{Key: "big", JSON: edit.Encode(strings.Repeat("x", maxAnnotations-10))}}

	pod, err := Decode([]byte(`{"metadata":{"annotations":{"own":"123456"}},"spec":{"containers":[{"name":"app"}]}}`))
	if err != nil {
		t.Fatal(err)
	}

	r := New(t.Context(), pod, []Match{{Injection: in}})
	if len(r.Failed) != 1 || r.Failed[0].Reason != Unsafe {
		t.Errorf("want one %s, got %v", Unsafe, r.Failed)
	}
}

// TestPodTooLarge keeps an Injection from making a pod too large for etcd.
func TestPodTooLarge(t *testing.T) {
	pod, err := Decode([]byte(`{"metadata":{},"spec":{"containers":[{"name":"app","args":["` + strings.Repeat("x", maxPod-66) + `"]}]}}`))
	if err != nil {
		t.Fatal(err)
	}

	r := New(t.Context(), pod, []Match{{Injection: injection("shop", "proxy", 0, nil)}})
	if len(r.Failed) != 1 || r.Failed[0].Reason != Unsafe || r.Patch != nil {
		t.Errorf("want one %s and no patch, got %v and %s", Unsafe, r.Failed, r.Patch)
	}
}

func BenchmarkNew(b *testing.B) {
	raw := []byte(`{"metadata":{"labels":{"app":"x"}},"spec":{"containers":[{"name":"app","env":[{"name":"B","value":"b"}]}]}}`)
	matches := []Match{{Injection: injection("shop", "proxy", 0, nil)}}

	for b.Loop() {
		pod, err := Decode(raw)
		if err != nil {
			b.Fatal(err)
		}

		if New(b.Context(), pod, matches).Patch == nil {
			b.Fatal("no patch")
		}
	}
}

// BenchmarkCompile is what an edit of an Injection costs.
func BenchmarkCompile(b *testing.B) {
	in := &v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "proxy"}}
	in.Spec.Selector = &metav1.LabelSelector{}
	in.Spec.Env = []v1alpha1.EnvVar{{Name: "A", Value: "a"}, {Name: "B", Value: "b"}}
	in.Spec.InitContainers = []corev1.Container{{Name: "wait", Image: "w"}}

	for b.Loop() {
		if err := Compile(in).Err(); err != nil {
			b.Fatal(err)
		}
	}
}
