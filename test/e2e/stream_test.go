//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/harness"
)

// keep is a finalizer. Each pod of a stream has it, so that every pod that was ever
// created can be counted at the end, however often watches broke.
const keep = "telltale.dev/e2e-counts"

// stream is a steady flow of new pods. One Deployment has pods that no node takes.
// It is scaled up by ten each half second, at times down to none, and changed every
// fourth time. Another has two pods that run on the node, and is changed every 10 s.
// Their Injection is edited every second.
type stream struct {
	t         *testing.T
	namespace string
	stop      context.CancelFunc
	done      sync.WaitGroup
	edits     []edit      // of the Injection; read once stopped
	missed    []time.Time // when pods were created that are not injected
}

// edit is one value that an Injection had, and when the API server had it.
type edit struct {
	value int
	at    time.Time
}

const injection = `
apiVersion: telltale.dev/v1alpha1
kind: Injection
metadata: {name: e2e, namespace: %s}
spec:
  selector: {matchLabels: {app: stream}}
  env: [{name: E2E_EDIT, value: "0"}]
  initContainers: [{name: e2e, image: "` + pause + `", args: ["0"]}]
`

// flow starts a stream in a namespace of its own.
func flow(t *testing.T, namespace string) *stream {
	t.Helper()
	kubectl(t, "create", "namespace", namespace)
	apply(t, fmt.Sprintf(injection, namespace))
	harness.Eventually(t, "the Injection is in force", func(ctx context.Context) error {
		return node.injects(ctx, namespace, "e2e")
	})

	ctx, cancel := context.WithCancel(t.Context())
	s := &stream{t: t, namespace: namespace, stop: cancel}
	for _, d := range []*appsv1.Deployment{s.deployment("waiting", false), s.deployment("running", true)} {
		if err := node.api.Create(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	s.done.Go(func() { s.grow(ctx) })
	s.done.Go(func() { s.roll(ctx) })
	s.done.Go(func() { s.edit(ctx) })
	t.Cleanup(cancel)
	harness.Eventually(t, "pods that run", func(ctx context.Context) error { return s.running(ctx) })

	return s
}

func (s *stream) deployment(name string, runs bool) *appsv1.Deployment {
	labels := map[string]string{"app": "stream", "deployment": name}
	replicas := int32(2)
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.namespace},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			// ReplicaSets of pods that are still there are not deleted meanwhile.
			RevisionHistoryLimit: new(int32(1000)),
			Selector:             &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Finalizers: []string{keep}},
				Spec: corev1.PodSpec{
					AutomountServiceAccountToken:  new(bool),
					TerminationGracePeriodSeconds: new(int64),
					Containers:                    []corev1.Container{{Name: "app", Image: pause}},
				},
			},
		},
	}
	if !runs {
		d.Spec.Template.Spec.NodeSelector = map[string]string{"telltale.dev/no": "node"}
	}

	return d
}

// running is an error unless pods of the stream run on the node.
func (s *stream) running(ctx context.Context) error {
	var d appsv1.Deployment
	if err := node.api.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: "running"}, &d); err != nil {
		return err
	}
	if d.Status.ReadyReplicas < 2 {
		return fmt.Errorf("%d of 2 run", d.Status.ReadyReplicas)
	}

	return nil
}

// each calls f at an interval until ctx ends. It ignores errors: the API server may
// be away, and then a later call succeeds.
func each(ctx context.Context, interval time.Duration, f func(i int)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for i := 1; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f(i)
		}
	}
}

// step is how many replicas are added at a time; at most it starts from none.
const step, most = 10, 120

func (s *stream) grow(ctx context.Context) {
	each(ctx, 500*time.Millisecond, func(i int) {
		change := fmt.Sprintf(`{"spec": {"replicas": %d}}`, i*step%most)
		if i%4 == 0 {
			change = fmt.Sprintf(`{"spec": {"replicas": %d, "template": {"metadata": {"annotations": {"i": "%d"}}}}}`, i*step%most, i)
		}
		_ = s.patch(ctx, "waiting", change)
	})
}

func (s *stream) roll(ctx context.Context) {
	each(ctx, 10*time.Second, func(i int) {
		_ = s.patch(ctx, "running", fmt.Sprintf(`{"spec": {"template": {"metadata": {"annotations": {"i": "%d"}}}}}`, i))
	})
}

func (s *stream) patch(ctx context.Context, deployment, change string) error {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: deployment}}

	return node.api.Patch(ctx, d, client.RawPatch("application/merge-patch+json", []byte(change)))
}

func (s *stream) edit(ctx context.Context) {
	each(ctx, time.Second, func(i int) {
		in := &v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "e2e"}}
		change := fmt.Sprintf(`{"spec": {"env": [{"name": "E2E_EDIT", "value": "%d"}]}}`, i)
		if node.api.Patch(ctx, in, client.RawPatch("application/merge-patch+json", []byte(change))) == nil {
			s.edits = append(s.edits, edit{i, time.Now()})
		}
	})
}

// enough pods are a test.
const enough = 50

// comes waits until enough pods were created after a time. If the API server was away,
// its controllers first have to lead again.
func (s *stream) comes(after time.Time) {
	s.t.Helper()
	harness.Eventually(s.t, "pods are created again", func(ctx context.Context) error {
		pods, err := s.pods(ctx)
		n := 0
		for i := range pods {
			if pods[i].CreationTimestamp.After(after) {
				n++
			}
		}
		if err == nil && n < enough {
			err = fmt.Errorf("%d were", n)
		}

		return err
	})
}

// goOn lets pods be created for some time more, after the action on Telltale.
// Nothing should happen in it, so there is no event to wait for.
func (*stream) goOn(d time.Duration) { time.Sleep(d) }

// prompt is the time in which an edit must be in force. Mostly it takes a second;
// the rest is for a busy machine.
const prompt = 20 * time.Second

// end ends the stream and counts its pods in the row: all that were ever created,
// and those without their Injection. A pod may lack an edit that is younger than
// stale.
func (s *stream) end(r *row, stale time.Duration) {
	s.t.Helper()
	pods := s.all()
	var oldest time.Duration
	for i := range pods {
		r.created++
		value, ok := injected(&pods[i])
		if !ok {
			r.missed++
			s.missed = append(s.missed, pods[i].CreationTimestamp.Time)
			if r.missed <= 3 {
				s.t.Logf("not injected: pod %s, created at %s; failed: %q", pods[i].Name,
					pods[i].CreationTimestamp.Format(time.TimeOnly), pods[i].Annotations[v1alpha1.FailedAnnotation])
			}

			continue
		}
		oldest = max(oldest, s.age(value, pods[i].CreationTimestamp.Time))
	}
	if len(s.edits) == 0 || len(pods) < enough {
		s.t.Errorf("%d pods and %d edits are no test", len(pods), len(s.edits))
	}
	if oldest > stale {
		s.t.Errorf("a pod was created %v after an edit that it does not have", oldest)
	}
	r.note("%d edits, each in force within %.0f s", len(s.edits), max(oldest.Seconds(), 1))
	s.remove()
}

// all ends the flow of pods, and returns all that there were.
func (s *stream) all() (pods []corev1.Pod) {
	s.t.Helper()
	s.stop()
	s.done.Wait()
	harness.Eventually(s.t, "a list of the pods", func(ctx context.Context) (err error) {
		pods, err = s.pods(ctx)

		return err
	})

	return pods
}

func (s *stream) pods(ctx context.Context) ([]corev1.Pod, error) {
	var list corev1.PodList
	err := node.api.List(ctx, &list, client.InNamespace(s.namespace))

	return list.Items, err
}

// injected says whether a pod has all that its Injection declares, and from which
// edit.
func injected(p *corev1.Pod) (value int, ok bool) {
	if !has(p, "e2e") || len(p.Spec.InitContainers) != 1 {
		return 0, false
	}
	for _, v := range p.Spec.Containers[0].Env {
		if v.Name == "E2E_EDIT" {
			value, err := strconv.Atoi(v.Value)

			return value, err == nil
		}
	}

	return 0, false
}

// age is how long the edit after a value had been in force when a pod was created.
// The time of creation is known to the second.
func (s *stream) age(value int, created time.Time) time.Duration {
	for _, e := range s.edits {
		if e.value > value {
			return created.Sub(e.at)
		}
	}

	return 0
}

// remove lets the pods go, and their namespace.
func (s *stream) remove() {
	s.t.Helper()
	kubectl(s.t, "delete", "deployments", "--all", "-n", s.namespace, "--wait=false")
	kubectl(s.t, "delete", "namespace", s.namespace, "--wait=false")
	harness.Eventually(s.t, "the stream's pods are gone", func(ctx context.Context) error {
		pods, err := s.pods(ctx)
		s.release(ctx, pods)
		if len(pods) > 0 {
			err = fmt.Errorf("there are %d", len(pods))
		}

		return err
	})
}

// release takes the finalizer off pods, a few at a time.
func (s *stream) release(ctx context.Context, pods []corev1.Pod) {
	var workers errgroup.Group
	workers.SetLimit(8)
	for i := range pods {
		workers.Go(func() error {
			return node.api.Patch(ctx, &pods[i], client.RawPatch("application/merge-patch+json", []byte(`{"metadata": {"finalizers": null}}`)))
		})
	}
	_ = workers.Wait() // the next list shows the pods that are left
}

// complete fails the test unless every pod was injected.
func (r *row) complete(t *testing.T) {
	t.Helper()
	if r.missed > 0 {
		t.Errorf("%d of %d pods are not injected", r.missed, r.created)
	}
}

// missedAfter counts the pods not injected that were created after a time.
func (s *stream) missedAfter(at time.Time) (n int) {
	for _, created := range s.missed {
		if created.After(at) {
			n++
		}
	}

	return n
}
