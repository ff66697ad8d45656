//go:build apiserver

package property

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// room is a namespace, and its twin that has opted out.
type room struct {
	with, without string
	law           law
	injections    []declared // ClusterInjections that may select its pods included
}

// declared is an Injection or a ClusterInjection that the API server took.
type declared struct {
	name string // as on a pod: cluster/ before a ClusterInjection's
	spec v1alpha1.InjectionSpec
	raw  []byte
}

// matching returns those that select a pod: none select a mirror pod.
func (r *room) matching(t *testing.T, pod *corev1.Pod) (matches []declared) {
	t.Helper()

	if _, is := pod.Annotations[corev1.MirrorPodAnnotationKey]; is {
		return nil
	}

	for _, in := range r.injections {
		if in.changesPods() && selects(t, in.spec.Selector, pod.Labels) && chooses(in.spec, pod) {
			matches = append(matches, in)
		}
	}

	return matches
}

// isPreviewed tells whether an Injection that only looks selects a pod.
func (r *room) isPreviewed(t *testing.T, pod *corev1.Pod) bool {
	t.Helper()

	return slices.ContainsFunc(r.injections, func(in declared) bool {
		return in.spec.Mode == v1alpha1.Preview && selects(t, in.spec.Selector, pod.Labels) && chooses(in.spec, pod)
	})
}

// changesPods is false for an Injection that only looks, or is paused.
func (in declared) changesPods() bool {
	return in.spec.Mode != v1alpha1.Preview && in.spec.Mode != v1alpha1.Paused
}

// withoutRecord takes the record from a pod: that of Injections that only look, and an
// old one, which goes when a new one is written.
func withoutRecord(t *testing.T, raw []byte) []byte {
	t.Helper()

	pod := decode[map[string]any](t, raw)
	metadata, _ := pod["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)

	for _, key := range []string{
		v1alpha1.PreviewedAnnotation, v1alpha1.InjectedAnnotation, v1alpha1.FailedAnnotation, v1alpha1.ContainersAnnotation, v1alpha1.JoinedAnnotation,
	} {
		delete(annotations, key)
	}

	if len(annotations) == 0 {
		delete(metadata, "annotations")
	}

	return encode(t, pod)
}

// pair is a pod, as it is sent, and the Injections that select it.
type pair struct {
	name    string
	room    *room
	pod     []byte
	dryRun  bool
	matches []declared
	again   bool // it is created a second time, from the live pod
	origin  *pair
	first   []byte // the live pod that this one is made from, of the origin
}

// newPair makes the pair of a number: the same one for the same seed.
func newPair(t *testing.T, draws draws, seed uint64, number int, r *room) *pair {
	t.Helper()

	d := newDice(draws, seed, uint64(number)<<1|1, 12)
	pod := d.pod()
	d.abide(pod, r.law)

	p := &pair{name: fmt.Sprintf("pair %d", number), room: r, dryRun: number%25 != 0}

	switch {
	case number%100 == 0:
		d.asHuge(pod, 1<<20+d.IntN(600<<10)) // etcd takes 1.5 MiB
	case number%51 == 0:
		if pod.Annotations == nil {
			pod.Annotations = map[string]string{}
		}

		pod.Annotations["example.com/big"] = strings.Repeat("x", 190<<10+d.IntN(70<<10)) // of 256 KiB
	}

	p.matches = r.matching(t, pod)

	if !p.dryRun {
		pod.Name, pod.GenerateName = fmt.Sprintf("pod-%d", number), ""
		// A refusal on purpose names one failure, and counts all.
		p.dryRun = slices.ContainsFunc(p.matches, declared.denies)
	}

	p.pod = d.withEmptyLists(encode(t, pod))
	p.again = p.dryRun && draws.has(again) && d.chance(10)

	return p
}

// second makes the pair of a pod that was created, as a backup is restored: all
// that is the API server's own is left out.
func (p *pair) second(t *testing.T, live []byte) *pair {
	t.Helper()

	pod := decode[map[string]any](t, live)
	metadata, _ := pod["metadata"].(map[string]any)
	delete(pod, "status")

	for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "namespace"} {
		delete(metadata, field)
	}

	q := *p
	q.origin, q.first, q.again, q.pod = p, live, false, encode(t, pod)
	q.matches = p.room.matching(t, decode[*corev1.Pod](t, live))

	return &q
}

func (in declared) denies() bool { return in.spec.OnFailure == v1alpha1.Deny }

func selects(t *testing.T, s *metav1.LabelSelector, l map[string]string) bool {
	t.Helper()

	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}

	return selector.Matches(labels.Set(l))
}

// withEmptyLists puts empty lists, and nulls, where there are none.
func (d dice) withEmptyLists(pod []byte) []byte {
	var tree map[string]any
	if d.chance(50) || json.Unmarshal(pod, &tree) != nil {
		return pod
	}

	spec, _ := tree["spec"].(map[string]any)
	objects := []map[string]any{spec}
	containers, _ := spec["containers"].([]any)

	for _, c := range containers {
		objects = append(objects, c.(map[string]any))
	}

	for _, o := range objects {
		for _, field := range []string{"volumes", "initContainers", "imagePullSecrets", "tolerations", "env", "envFrom", "volumeMounts", "ports"} {
			if _, ok := o[field]; !ok && d.chance(30) {
				o[field] = pick[any](d, []any{}, nil)
			}
		}
	}

	changed, err := json.Marshal(tree)
	if err != nil {
		return pod
	}

	return changed
}

// record is the annotations of a pod about its Injections.
type record struct {
	injected []string
	failed   map[string]string
}

// recordOf reads the record. There is none if the annotations are too large.
func recordOf(p *corev1.Pod) (r record, there bool) {
	injected, ok := p.Annotations[v1alpha1.InjectedAnnotation]
	failed, ok2 := p.Annotations[v1alpha1.FailedAnnotation]
	r.failed = map[string]string{}

	record, _ := v1alpha1.ParseRecord(failed)
	for _, in := range record {
		r.failed[in.Name] = in.Reason
	}

	record, _ = v1alpha1.ParseRecord(injected)
	for _, in := range record {
		r.injected = append(r.injected, in.Name)
	}

	return r, ok || ok2
}
