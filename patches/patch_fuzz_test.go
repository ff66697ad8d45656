package patches

import (
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4" // what kube-apiserver applies patches with
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/telltale-dev/telltale/patches/internal/apiserver"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// FuzzPatch injects arbitrary pods, and golden ones changed as a script says,
// with what two golden cases declare together: the patch applies, keeps what is
// there, leaves nothing of what failed, and is needed only once.
func FuzzPatch(f *testing.F) {
	dirs, err := filepath.Glob("testdata/golden/*")
	if err != nil || len(dirs) > 256 {
		f.Fatalf("found %d golden cases (%v), and a byte chooses among 256", len(dirs), err)
	}

	for i, dir := range dirs {
		pod, err := os.ReadFile(filepath.Join(dir, "pod.yaml"))
		if err == nil {
			pod, err = yaml.YAMLToJSON(pod)
		}

		if err != nil {
			f.Fatal(err)
		}

		f.Add(pod, byte(i), byte(i+1), []byte{})

		random := rand.New(rand.NewPCG(1, uint64(i)))
		for range 4 {
			script := binary.BigEndian.AppendUint64(nil, random.Uint64())
			script = binary.BigEndian.AppendUint64(script, random.Uint64())
			f.Add(pod, byte(random.Uint32()), byte(random.Uint32()), script)
		}
	}

	var (
		once  sync.Once
		cases []goldenCase
		parts map[string][]any
	)

	f.Fuzz(func(t *testing.T, raw []byte, a, b byte, script []byte) {
		once.Do(func() {
			for _, dir := range dirs {
				cases = append(cases, readCase(t, dir))
			}

			parts = donors(t)
		})

		c := cases[int(a)%len(cases)]
		c.set = union(c.set, cases[int(b)%len(cases)].set)
		m := mutator{script: script, donors: parts}
		checkPatch(t, &c, m.mutate(raw))
	})
}

func union(a, b *Set) *Set {
	for _, bucket := range b.buckets {
		for _, in := range bucket.byName {
			a = a.With(in)
		}
	}

	return a
}

func checkPatch(t *testing.T, c *goldenCase, raw []byte) {
	t.Helper()

	pod, err := Decode(raw)
	if err != nil {
		checkText(t, err.Error())

		return
	}

	matches, previews := c.set.Match(pod.Labels, c.ns), c.set.Previews(pod.Labels, c.ns)
	r := New(t.Context(), pod, matches, previews...)
	patched := patchedBy(t, raw, r.Patch)

	if len(previews) > 0 {
		without := patchedBy(t, raw, New(t.Context(), pod, matches).Patch)
		if diff := cmp.Diff(bare(t, without), bare(t, patched)); diff != "" {
			t.Errorf("a preview changes the pod: -without +with\n%s", diff)
		}
	}

	again, err := Decode(patched)
	if err != nil {
		t.Fatalf("what the patch makes: %v\n%s", err, patched)
	}

	patchedBy(t, raw, Refuse(pod, matches, Unsafe))
	checkFailed(t, c, raw, patched, r.Failed)

	overrides := func(m Match) bool { return m.onConflict == v1alpha1.Override }
	if !slices.ContainsFunc(matches, overrides) && !keeps(withoutJoined(bare(t, raw), matches), withoutJoined(bare(t, patched), matches)) {
		t.Errorf("the patch changes what is there: %s", r.Patch)
	}

	if !isPod(raw) {
		return
	}

	if !isPod(patched) {
		t.Fatalf("what the patch makes is no pod:\n%s", patched)
	}

	checkWhole(t, pod, r.Patch, patched)
	checkTwice(t, r, New(t.Context(), again, matches, previews...)) // labels that were added may change what matches
}

// checkWhole holds the pod that is judged against what an API server makes of the
// same bytes and the same patch.
func checkWhole(t *testing.T, pod *Pod, patch, patched []byte) {
	t.Helper()

	got, err := pod.Whole()
	if err == nil {
		err = apiserver.Apply(got, patch)
	}

	if err != nil {
		t.Fatalf("an API server takes it: %v\n%s\n%s", err, pod.JSON, patch)
	}

	var want corev1.Pod
	if err := kjson.UnmarshalCaseSensitivePreserveInts(patched, &want); err != nil {
		t.Fatal(err)
	}

	if !equality.Semantic.DeepEqual(got, &want) {
		t.Errorf("judged is another pod than answered: -answered +judged\n%s", cmp.Diff(&want, got))
	}
}

// checkTwice compares a second pass with the first. The second pass tries failed
// Injections again, and a later Injection may have brought what they lacked.
func checkTwice(t *testing.T, first, second Result) {
	t.Helper()

	for _, in := range first.Injected {
		if !slices.Contains(second.Injected, in) {
			t.Errorf("%s was applied, and the second pass fails it: %v", in, second.Failed)
		}
	}

	if len(first.Failed) == 0 && second.Patch != nil {
		t.Errorf("the second pass changes the pod: %s\nafter %s", second.Patch, first.Patch)
	}
}

// checkFailed takes the Injections that failed away: the pod is the same, but
// for the record.
func checkFailed(t *testing.T, c *goldenCase, raw, patched []byte, failed []Failure) {
	t.Helper()

	if len(failed) == 0 {
		return
	}

	without := c.set
	for _, f := range failed {
		checkText(t, f.Text)
		without = without.Without(f.Injection.Namespace, f.Injection.Name)
	}

	pod, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}

	want := patchedBy(t, raw, New(t.Context(), pod, without.Match(pod.Labels, c.ns)).Patch)
	if diff := cmp.Diff(bare(t, want), bare(t, patched)); diff != "" {
		t.Errorf("%v left something: -want +got\n%s", failedRecord(failed), diff)
	}
}

// checkText holds a text to one line.
func checkText(t *testing.T, text string) {
	t.Helper()

	if text == "" || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		t.Errorf("this is not one line of text: %q", text)
	}
}

func isPod(raw []byte) bool {
	var pod corev1.Pod

	return kjson.UnmarshalCaseSensitivePreserveInts(raw, &pod) == nil
}

// bare is a pod without the record, whichever pod it is.
func bare(t *testing.T, raw []byte) map[string]any {
	t.Helper()

	var pod map[string]any
	if err := json.Unmarshal(raw, &pod); err != nil {
		t.Fatal(err)
	}

	metadata, _ := pod["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	delete(annotations, v1alpha1.InjectedAnnotation)
	delete(annotations, v1alpha1.FailedAnnotation)
	delete(annotations, v1alpha1.ContainersAnnotation)
	delete(annotations, v1alpha1.JoinedAnnotation)
	delete(annotations, v1alpha1.PreviewedAnnotation)

	if len(annotations) == 0 {
		delete(metadata, "annotations")
	}

	return pod
}

// keeps tells whether all of a value is there after, with more beside it or in
// between perhaps.
func keeps(before, after any) bool {
	switch b := before.(type) {
	case nil:
		return true
	case map[string]any:
		a, ok := after.(map[string]any)
		for k, v := range b {
			ok = ok && keeps(v, a[k])
		}

		return ok
	case []any:
		a, ok := after.([]any)
		for _, e := range a {
			if len(b) > 0 && keeps(b[0], e) {
				b = b[1:]
			}
		}

		return ok && len(b) == 0
	default:
		return before == after
	}
}

func patchedBy(t *testing.T, raw, patch []byte) []byte {
	t.Helper()

	if patch == nil {
		return raw
	}

	decoded, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		t.Fatalf("the patch does not decode: %v\n%s", err, patch)
	}

	patched, err := decoded.Apply(raw)
	if err != nil {
		t.Fatalf("the patch does not apply: %v\n%s", err, patch)
	}

	return patched
}
