//go:build audit

package audit

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/child"
	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// The size of the cluster. Each namespace has an Injection for all pods, and one
// for each of its apps.
const (
	namespaces = 200
	apps       = 9
	nodes      = 1000
)

// The bars.
const (
	memoryBar = 120 << 20              // bytes of the leader, resident at its peak, with 100,000 pods as with fewer
	passBar   = 2.0                    // times a bare list
	changeBar = 250 * time.Microsecond // of CPU for a pod's change,
	watchBar  = 1.5                    // or so many times that of a bare watch
	writesBar = 20.0                   // statuses a second
	ageBar    = 10 * time.Second       // of the columns
)

// sized is a cluster of the full size.
type sized struct {
	*cluster
	*row

	pods   int
	leader *telltale.Replica
}

// TestSize measures a leader beside thousands of running pods that are injected.
func TestSize(t *testing.T) {
	r := begin(t, fmt.Sprintf("%d running pods on %d nodes, %d Injections", *size, nodes, namespaces*(apps+1)),
		"leader ≤ 120 MiB, first pass ≤ 2 × a bare list, ≤ 250 µs of CPU for a pod's change, or 1.5 × a bare watch, ≤ 20 status writes a second, columns ≤ 10 s old, counts as in a recount")
	s := &sized{
		cluster: newCluster(t, controlplane.Options{
			ControllerManagerFlags: []string{"--controllers=namespace-controller,serviceaccount-controller"},
		}, nodes, 1), row: r, pods: *size,
	}
	s.leader = s.replicas[0]
	s.fill(t)
	writes := s.watchWrites(t)

	s.firstPass(t)
	s.counts(t, "")
	s.note("%d status writes, at most %.1f a second", writes.count(), writes.fastest())
	s.change(t)
	s.age(t, 75)
	s.counts(t, "")
	if got := writes.fastest(); got > writesBar*1.05 { // they come in bursts on a busy machine
		t.Errorf("%.1f status writes a second", got)
	}
	memory, err := child.MemoryOf(s.leader.PID())
	if err != nil {
		t.Fatal(err)
	}
	s.note("at most %d MiB resident", memory.Peak>>20)
	if memory.Peak > memoryBar {
		t.Errorf("the leader has had %d MiB", memory.Peak>>20)
	}
}

// fill makes the objects: the pods are created through Telltale.
func (s *sized) fill(t *testing.T) {
	t.Helper()
	s.start(t)
	s.ready(t)
	s.namespace(t, "first", nil)
	s.inject(t, injection("first", "all", ""), injection("first", "app", "app-0", v1alpha1.EnvVar{Name: "REGION", Value: "eu"}))
	s.asked(t, true, "first", "app-0")
	status := map[string]v1alpha1.InjectionStatus{"all": s.statusOf(t, "first", "all"), "app": s.statusOf(t, "first", "app")}
	s.leader.Stop(harness.Patience) // it would write statuses of its own
	parallel(t, namespaces, func(ctx context.Context, i int) error {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespaceName(i)}}
		if _, err := s.api.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil {
			return err
		}
		if err := s.injectAsBefore(ctx, injection(ns.Name, "all", ""), status["all"]); err != nil {
			return err
		}
		for k := range apps {
			in := injection(ns.Name, appName(k), appName(k), v1alpha1.EnvVar{Name: "REGION", Value: "eu"})
			if err := s.injectAsBefore(ctx, in, status["app"]); err != nil {
				return err
			}
		}

		return nil
	})
	s.start(t)
	s.ready(t)
	s.asked(t, true, namespaceName(namespaces-1), appName(0))
	parallel(t, s.pods, func(ctx context.Context, i int) error {
		return s.createInjected(ctx, podOf(namespaceName(i%namespaces), podName(i), appName(i/namespaces%apps), nodeName(i%nodes)))
	})
	harness.Within(t, 10*harness.Patience, "all pods run", func(ctx context.Context) error {
		pending, err := s.api.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "status.phase!=Running", Limit: 1})
		if err == nil && len(pending.Items) > 0 {
			err = fmt.Errorf("%s does not run", pending.Items[0].Name)
		}

		return err
	})
	s.leader.Stop(harness.Patience)
}

// createInjected creates a pod, again if a busy machine made its review time out.
func (c *cluster) createInjected(ctx context.Context, pod *corev1.Pod) error {
	for {
		got, err := c.api.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
		if err != nil || isInjected(got) {
			return err
		}
		if err := c.api.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); err != nil {
			return err
		}
	}
}

func namespaceName(i int) string { return fmt.Sprintf("team-%d", i) }
func appName(i int) string       { return fmt.Sprintf("app-%d", i) }
func podName(i int) string       { return fmt.Sprintf("pod-%d", i) }

// statusOf waits for the status of an Injection once nothing more is to be written.
func (c *cluster) statusOf(t *testing.T, namespace, name string) (status v1alpha1.InjectionStatus) {
	t.Helper()
	harness.Eventually(t, "the status of "+name, func(ctx context.Context) error {
		var in v1alpha1.Injection
		err := c.objects.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &in)
		if err == nil && (in.Status.ServerCheck == nil || in.Status.Since == nil || len(in.Status.Conditions) == 0) {
			err = fmt.Errorf("it is %+v", in.Status)
		}
		status = in.Status

		return err
	})

	return status
}

// injectAsBefore creates an Injection as it is long after it was made: with a
// status. Telltale would take minutes to ask the API server about thousands.
func (c *cluster) injectAsBefore(ctx context.Context, in *v1alpha1.Injection, status v1alpha1.InjectionStatus) error {
	if err := c.objects.Create(ctx, in); err != nil {
		return err
	}
	status.Pods = nil
	in.Status = status

	return c.objects.Status().Update(ctx, in)
}

// firstPass starts the leader some times, and compares the time of its first look
// at all pods with that of a bare list.
func (s *sized) firstPass(t *testing.T) {
	t.Helper()
	const starts = 3
	var passes, lists []time.Duration
	for range starts {
		s.start(t)
		s.audits(t)
		took, err := s.leader.Metric(t.Context(), "telltale_audit_first_pass_seconds")
		if err != nil {
			t.Fatal(err)
		}
		passes = append(passes, time.Duration(took*float64(time.Second)))
		lists = append(lists, s.bareList(t))
		if len(passes) < starts {
			s.leader.Stop(harness.Patience)
		}
	}
	slices.Sort(passes)
	slices.Sort(lists)
	ratio := passes[starts/2].Seconds() / lists[starts/2].Seconds()
	s.note("first pass %.1f s, a bare list %.1f s: %.1f times", passes[starts/2].Seconds(), lists[starts/2].Seconds(), ratio)
	if ratio > passBar {
		t.Errorf("first passes took %v, bare lists %v", passes, lists)
	}
}

// change has the status of pods changed, as kubelets do, and measures the leader's
// CPU for one change.
func (s *sized) change(t *testing.T) {
	t.Helper()
	const rate, idle = 200, 20 * time.Second
	changes := min(s.pods/2, 10_000)

	beside := s.bareWatch(t)
	s.pass(t, idle) // until its collector of garbage is done with the first pass
	before, begun := s.cpu(t), time.Now()
	s.pass(t, idle)
	resting := float64(s.cpu(t)-before) / float64(time.Since(begun))

	before, begun = s.cpu(t), time.Now()
	alone := watcherCPU(t, beside)
	next := time.NewTicker(time.Second / rate)
	defer next.Stop()
	parallel(t, changes, func(ctx context.Context, i int) error {
		<-next.C
		patch := fmt.Sprintf(`{"status": {"conditions": [{"type": "Ready", "status": "True", "message": "change %d"}]}}`, i)
		at := i % s.pods
		_, err := s.api.CoreV1().Pods(namespaceName(at%namespaces)).Patch(ctx, podName(at), types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")

		return err
	})
	s.pass(t, 2*time.Second)
	used := s.cpu(t) - before
	rest := time.Duration(resting * float64(time.Since(begun)))
	each := (used - rest) / time.Duration(changes)
	watched := (watcherCPU(t, beside) - alone) / time.Duration(changes)
	s.note("%d µs of CPU for a pod's change, a bare watch %d (idle: %.1f %% of a CPU)", each.Microseconds(), watched.Microseconds(), 100*resting)
	if each > max(changeBar, time.Duration(watchBar*float64(watched))) {
		t.Errorf("%v of CPU for a pod's change, a bare watch %v", each, watched)
	}
}

// age deletes a pod of many apps at once, and measures how old the columns get. The pods
// are counted before: to list 100,000 takes longer than the columns may.
func (s *sized) age(t *testing.T, changed int) {
	t.Helper()
	want := s.recount(t, "")
	for i := range changed {
		for _, name := range []string{"all", appName(i / namespaces % apps)} { // that select the pod
			key := types.NamespacedName{Namespace: namespaceName(i % namespaces), Name: name}
			counts := want[key]
			counts.Selected--
			counts.Injected--
			want[key] = counts
		}
	}
	parallel(t, changed, func(ctx context.Context, i int) error {
		return s.api.CoreV1().Pods(namespaceName(i%namespaces)).Delete(ctx, podName(i), metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
	})
	begun := time.Now()
	s.shows(t, "", want)
	took := time.Since(begun)
	s.note("%d counts that changed at once are right %.1f s later", 2*changed, took.Seconds())
	if took > ageBar {
		t.Errorf("columns were %v old", took)
	}
}
