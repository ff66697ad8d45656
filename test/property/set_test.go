//go:build apiserver

package property

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4" // kube-apiserver applies patches with it
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/harness"
)

// set is a ReplicaSet of one pod, and the pod itself as its controller sends it.
type set struct {
	pair

	room   *guarded
	object *appsv1.ReplicaSet
	uid    types.UID
	pod    *corev1.Pod // that it has
	nudged time.Time
	tried  time.Time // since when it is in a trial; zero: in none
	quiet  time.Time // since when it is no longer
	ended  bool      // a trial has

	// runs is true if the API server takes the pod without Telltale.
	runs bool
	// suspected is true if the pod with all its Injections is refused.
	suspected bool
	checked   bool // the pod was
}

func newSet(t *testing.T, g *guarded, object *appsv1.ReplicaSet) *set {
	t.Helper()

	pod := corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: object.Spec.Template.ObjectMeta, Spec: object.Spec.Template.Spec}
	pod.GenerateName = object.Name + "-"

	s := &set{room: g, object: object}
	s.pair = pair{name: fmt.Sprintf("room %d, %s", g.number, object.Name), room: g.room, pod: encode(t, pod)}
	s.matches = g.matching(t, &pod)

	return s
}

// judge asks the API server about the pod, without Injections and with all.
func (s *set) judge(t *testing.T, r *run) {
	t.Helper()

	s.runs = s.with(t, r, nil).err == nil
	all := s.with(t, r, s.matches)
	s.suspected = all.err != nil && len(s.planned(t, s.matches).Injected) > 0
}

// planned is what patches does with some of the Injections.
func (s *set) planned(t *testing.T, some []declared) patches.Result {
	t.Helper()

	pod, err := patches.Decode(s.pair.pod)
	if err != nil {
		t.Fatal(err)
	}

	all := &patches.Set{}

	for _, d := range some {
		name, cluster := strings.CutPrefix(d.name, "cluster/")
		in := newInjection(name, d.spec)

		if !cluster {
			in.Namespace = s.room.without
		}

		all = all.With(patches.Compile(in))
	}

	return patches.New(t.Context(), pod, all.Match(pod.Labels, patches.Namespace{Name: s.room.without, Known: true}))
}

// with asks the API server, in the twin that has opted out, about the pod with some
// of the Injections.
func (s *set) with(t *testing.T, r *run, some []declared) answer {
	t.Helper()

	raw := s.pair.pod

	if result := s.planned(t, some); result.Patch != nil {
		patch, err := jsonpatch.DecodePatch(result.Patch)
		if err == nil {
			raw, err = patch.Apply(raw)
		}

		if err != nil {
			t.Fatalf("%s: the patch does not apply: %v", s.name, err)
		}
	}

	return r.create(t.Context(), "/api/v1/namespaces/"+s.room.without+"/pods", raw, true)
}

func (s *set) path() string { return "/apis/apps/v1/namespaces/" + s.room.room.with + "/replicasets" }

func (s *set) create(t *testing.T, r *run) {
	t.Helper()

	a := r.create(t.Context(), s.path(), encode(t, s.object), false)
	if a.err != nil {
		t.Errorf("%s: %v", s.name, a.err)

		return
	}

	s.uid, s.nudged = decode[appsv1.ReplicaSet](t, a.raw).UID, time.Now()
}

// nudge has the controller try again now.
func (s *set) nudge(t *testing.T, r *run) {
	t.Helper()

	s.nudged = time.Now()
	body := fmt.Appendf(nil, `{"metadata": {"annotations": {"look": "%d"}}}`, s.nudged.UnixNano())

	err := r.api.Patch(types.MergePatchType).AbsPath(s.path() + "/" + s.object.Name).Body(body).Do(t.Context()).Error()
	if err != nil {
		t.Errorf("%s: %v", s.name, err)
	}
}

// see takes note of how it is now: of its pod, of whether a trial has ever begun, and
// of when the one began that goes on. Between two tries of a trial there may be none.
func (s *set) see(pod *corev1.Pod, began bool, tried time.Time) {
	s.pod, s.tried = pod, tried

	switch {
	case !began || !tried.IsZero():
		s.quiet = time.Time{}
	case s.quiet.IsZero():
		s.quiet = time.Now()
	}

	s.ended = s.ended || !s.quiet.IsZero() && time.Since(s.quiet) > between
}

// checkSets checks all ReplicaSets, once all events are written.
func (r *run) checkSets(t *testing.T, sets []*set, when string) {
	t.Helper()

	harness.Eventually(t, "all is shown", func(ctx context.Context) error {
		pending, err := r.telltale.Metric(ctx, "telltale_report_pending")
		if err == nil && pending != 0 {
			err = fmt.Errorf("%v are pending", pending)
		}

		return err
	})

	events := map[types.UID][]corev1.Event{}
	for _, e := range r.events(t) {
		events[e.InvolvedObject.UID] = append(events[e.InvolvedObject.UID], e)
	}

	ran, without, own := 0, 0, 0

	for _, s := range sets {
		switch {
		case s.pod == nil:
			own++
		case s.pod.Annotations[v1alpha1.FailedAnnotation] != "":
			without++
		default:
			ran++
		}

		if broken := s.check(t, r, events[s.uid]); broken != "" {
			t.Errorf("%s, %s: %s\nseed %d: -run TestPolicies -args -seed=%d -owners=%d -room=%d\n%s", s.name, when, broken,
				*seed, *seed, *owners, s.room.number, s.room.manifests(t, s))
		}
	}

	t.Logf("%s: %d pods with all of their Injections, %d without some, %d are refused for their own sake", when, ran, without, own)
}

// events are Telltale's.
func (r *run) events(t *testing.T) []corev1.Event {
	t.Helper()

	var list corev1.EventList

	err := r.api.Get().Resource("events").Param("labelSelector", "app.kubernetes.io/managed-by=telltale").Do(t.Context()).Into(&list)
	if err != nil {
		t.Fatal(err)
	}

	return list.Items
}

// check says how the law is broken, or returns "".
func (s *set) check(t *testing.T, r *run, events []corev1.Event) string {
	t.Helper()

	refused := map[string]bool{}

	if s.pod == nil {
		if s.runs {
			return "it runs without Telltale, and not with it"
		}

		return s.checkEvents(events, refused, nil)
	}

	if len(s.matches) == 0 {
		return s.checkEvents(events, refused, nil)
	}

	live := *s.pod
	live.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}

	record, _ := recordOf(&live)
	if broken := s.checkRecord(t, record, decode[*corev1.Pod](t, s.pair.pod), &live, answer{raw: s.pair.pod}, answer{raw: encode(t, live)}); broken != "" {
		return broken
	}

	for name, reason := range record.failed {
		if reason == string(patches.Refused) {
			refused[name] = true
		}
	}

	if broken := s.checkPlan(t, record, refused); broken != "" {
		return broken
	}

	if broken := s.checkNeeded(t, r, refused); broken != "" {
		return broken
	}

	return s.checkEvents(events, refused, record.failed)
}

// left are the Injections that are not left out.
func (s *set) left(out map[string]bool) []declared {
	return slices.DeleteFunc(slices.Clone(s.matches), func(in declared) bool { return out[in.name] })
}

// checkPlan holds that the pod has what it can have beside the Injections that were
// refused.
func (s *set) checkPlan(t *testing.T, record record, refused map[string]bool) string {
	t.Helper()

	var want []string
	for _, in := range s.planned(t, s.left(refused)).Injected {
		want = append(want, in.String())
	}

	slices.Sort(want)

	if got := slices.Sorted(slices.Values(record.injected)); !slices.Equal(got, want) {
		return fmt.Sprintf("without %v it has %v, want %v", slices.Sorted(maps.Keys(refused)), got, want)
	}

	return ""
}

// checkNeeded holds that each Injection that the pod lacks was refused: with it, the
// pod is refused still. Later the policies may have ended.
func (s *set) checkNeeded(t *testing.T, r *run, refused map[string]bool) string {
	t.Helper()

	if s.checked {
		return ""
	}

	s.checked = true

	for name := range refused {
		less := maps.Clone(refused)
		delete(less, name)

		if s.with(t, r, s.left(less)).err == nil {
			return fmt.Sprintf("%s was taken away, and need not be: %v are withdrawn", name, slices.Sorted(maps.Keys(refused)))
		}
	}

	return ""
}

// checkEvents holds that the ReplicaSet says all that failed, and nothing else.
func (s *set) checkEvents(events []corev1.Event, refused map[string]bool, failed map[string]string) string {
	says := func(name, reason string) (count int32) {
		title := fmt.Sprintf("Injection %q not applied: ", strings.TrimPrefix(name, "cluster/"))
		if strings.HasPrefix(name, "cluster/") {
			title = "Cluster" + title
		}

		for _, e := range events {
			if e.Reason == reason && strings.HasPrefix(e.Message, title) {
				count += e.Count
			}
		}

		return count
	}

	for name, reason := range failed {
		if n := says(name, reason); n == 0 || refused[name] && n != 1 {
			return fmt.Sprintf("the events say %d times that %s is missing as %s, want 1", n, name, reason)
		}
	}

	for _, e := range events {
		if e.Reason == string(patches.Refused) && !slices.ContainsFunc(slices.Collect(maps.Keys(refused)), func(name string) bool {
			return strings.Contains(e.Message, fmt.Sprintf("%q not applied: ", strings.TrimPrefix(name, "cluster/")))
		}) {
			return "an event blames an Injection that the pod has: " + e.Message
		}
	}

	return ""
}

// checkShown holds that all failures are on events.
func (r *run) checkShown(t *testing.T) {
	t.Helper()

	sum := 0
	for _, e := range r.events(t) {
		sum += int(e.Count)
	}

	if want := r.metric(t, "telltale_injection_failures_total"); sum != want {
		t.Errorf("events show %d failures, and Telltale counts %d", sum, want)
	}

	if lines := r.failedOpen(t); len(lines) > 0 {
		t.Errorf("the API server did without Telltale: %s", lines)
	}
}
