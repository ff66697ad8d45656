//go:build apiserver

package heal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/webhook/failure"
)

var cp *controlplane.ControlPlane

func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard())
	os.Exit(harness.WithControlPlane(controlplane.Options{}, func(started *controlplane.ControlPlane) int {
		cp = started

		return m.Run()
	}))
}

// deleted is Known: the Injection of all patients was deleted.
type deleted struct{}

func (deleted) Get(string, string) *patches.Injection { return nil }

// testPeriod is that of the rounds in tests.
const testPeriod = 100 * time.Millisecond

// ward is an app of two pods that are to be healed.
type ward struct {
	client.Client

	namespace string
	ill       []types.UID
	evicted   atomic.Int64
	late      sync.WaitGroup
	leaders   atomic.Int64 // so many have begun
	writes    atomic.Int64 // of the last one
}

func admit(t *testing.T, namespace string) *ward {
	t.Helper()

	api, err := client.New(cp.Config, client.Options{Scheme: scheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}

	w := &ward{Client: api, namespace: namespace}
	two, labels := int32(2), map[string]string{"app": "web"}

	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"}, Spec: appsv1.DeploymentSpec{
			Replicas: &two, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "x"}}},
			},
		}},
	} {
		if err := api.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}

	harness.Eventually(t, "pods that are older than a second", func(ctx context.Context) error {
		pods, err := w.pods(ctx)
		w.ill = nil

		for i := range pods {
			if time.Since(pods[i].CreationTimestamp.Time) > 3*time.Second {
				w.ill = append(w.ill, pods[i].UID)
			}
		}

		if err == nil && len(w.ill) != 2 {
			err = fmt.Errorf("there are %d", len(w.ill))
		}

		return err
	})

	return w
}

func (w *ward) pods(ctx context.Context) ([]corev1.Pod, error) {
	var list corev1.PodList
	err := w.List(ctx, &list, client.InNamespace(w.namespace))

	return list.Items, err
}

// lead runs a healer, as in a leader, until it is killed.
func (w *ward) lead(ctx context.Context, t *testing.T, at int64, moment int) {
	t.Helper()

	w.leaders.Add(1)

	ctx, kill := context.WithCancel(ctx)
	defer kill()

	k := &killer{t: t, kill: kill, at: at, moment: moment, evicted: &w.evicted, late: &w.late}
	cfg := rest.CopyConfig(cp.Config)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		k.RoundTripper = next

		return k
	})

	m, err := manager.New(cfg, manager.Options{Scheme: scheme.Scheme, Metrics: metricsserver.Options{BindAddress: "0"}})
	if err != nil {
		t.Error(err)

		return
	}

	h, err := New(m, deleted{}, Options{
		Stuck: true, PerMinute: 60_000, Namespace: w.namespace, Lease: "heal", Well: func() bool { return true },
	})
	if err != nil {
		t.Error(err)

		return
	}

	h.period, h.underWay = testPeriod, 30*testPeriod

	pods, err := w.pods(ctx)
	if err != nil {
		return // the test has failed, and says why
	}

	for i := range pods {
		p := &pods[i]
		for _, uid := range w.ill {
			if uid == p.UID {
				by := metav1.GetControllerOf(p)
				h.Ails(p.UID, p.CreationTimestamp.Time, types.NamespacedName{Namespace: w.namespace, Name: "proxy"}, failure.Failure{
					Reason: failure.Stuck, Pod: p.Name,
					Owner: failure.Ref{APIVersion: by.APIVersion, Kind: by.Kind, Namespace: w.namespace, Name: by.Name, UID: by.UID},
				})
			}
		}
	}

	h.Keep(ctx)
	w.writes.Store(k.writes.Load())
}

// nurse has replacements run.
func (w *ward) nurse(ctx context.Context) error {
	pods, err := w.pods(ctx)

	for i := range pods {
		p := &pods[i]
		if p.UID == w.ill[0] || p.UID == w.ill[1] || len(p.Status.Conditions) > 0 {
			continue
		}

		p.Annotations = map[string]string{v1alpha1.FailedAnnotation: "proxy=InjectionRefused"}
		err = errors.Join(err, w.Update(ctx, p))
		p.Status.Phase = corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		err = errors.Join(err, w.Status().Update(ctx, p))
	}

	return err
}

// isHealed is an error unless both pods were replaced, there is one event of it, and
// nothing is left to do.
func (w *ward) isHealed(ctx context.Context) error {
	if err := w.nurse(ctx); err != nil {
		return err
	}

	var events corev1.EventList
	if err := w.List(ctx, &events, client.InNamespace(w.namespace), client.MatchingFields{"reason": string(failure.Healed)}); err != nil {
		return err
	}

	var lease coordinationv1.Lease
	if err := w.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: "heal"}, &lease); err != nil {
		return err
	}

	if len(lease.Annotations) > 0 {
		return fmt.Errorf("the Lease has %v", lease.Annotations)
	}

	if n := w.evicted.Load(); n != 2 || len(events.Items) != 1 || events.Items[0].Count != 2 {
		return fmt.Errorf("%d pods were evicted, and the events are %v", n, events.Items)
	}

	return nil
}

// TestKilled kills the leader at each of its writes: before the API server has it,
// after its answer, and while it is under way. The next leader evicts no pod twice, and
// each of the two evictions is told once.
func TestKilled(t *testing.T) {
	w := admit(t, "none")
	w.isHealedBy(t, 0, before)

	for at := int64(1); at <= w.writes.Load(); at++ {
		for moment, name := range []string{"Before", "After", "During"} {
			t.Run(fmt.Sprintf("%s%d", name, at), func(t *testing.T) {
				t.Parallel()
				admit(t, fmt.Sprintf("%s-%d", strings.ToLower(name), at)).isHealedBy(t, at, moment)
			})
		}
	}
}

// isHealedBy has a leader heal that is killed, if it is to be, and the next one after it.
func (w *ward) isHealedBy(t *testing.T, at int64, moment int) {
	t.Helper()

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})

	defer func() {
		stop()
		<-ended
	}()

	go func() {
		defer close(ended)

		if at > 0 {
			w.lead(ctx, t, at, moment)
		}

		w.lead(ctx, t, 0, before)
	}()

	harness.Eventually(t, "the app is healed", func(ctx context.Context) error {
		err := w.isHealed(ctx)
		if n := w.leaders.Load(); err == nil && at > 0 && n < 2 {
			err = errors.New("the leader was not killed")
		}

		return err
	})
	w.late.Wait()
	<-time.After(10 * testPeriod) // nothing more may come

	if err := w.isHealed(t.Context()); err != nil {
		t.Error(err)
	}
}
