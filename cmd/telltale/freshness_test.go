//go:build apiserver

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// edited is a cluster with an Injection that is edited each second: its env var EDIT
// counts. Each pod is reviewed by one replica, which is behind a stalling proxy; the
// other one is not asked.
type edited struct {
	*cluster
	*stalling
	client.Client

	asked, other *telltale.Replica

	ready        atomic.Int64 // the newest edit of which Ready was seen to be True
	pods, failed int
}

// startEdited starts both replicas. The first one to start becomes the leader.
func startEdited(t *testing.T, askedLeads bool) *edited {
	t.Helper()

	c, port := startInstalled(t)

	e := &edited{cluster: c, stalling: startStalling(t, c.ControlPlane), Client: clientFor(t, c.Config)}
	asked := func() *telltale.Replica {
		return c.launchWith(t, telltale.Options{Config: e.config, Port: port})
	}

	if askedLeads {
		e.asked = asked()
		harness.Eventually(t, "a leader", leads(e.asked, 1))
		e.other = c.launch(t, "")
	} else {
		e.other = c.launch(t, "")
		harness.Eventually(t, "a leader", leads(e.other, 1))
		e.asked = asked()
	}

	harness.WaitReady(t, e.asked)
	harness.WaitReady(t, e.other)
	c.output(t, "LS0t", "get", "mutatingwebhookconfiguration", "telltale", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")
	c.apply(t, envInjection("edited", "checkout", "EDIT", "0"))
	c.kubectl(t, "wait", "--for=condition=Ready", "-n", "shop", "injection/edited")

	return e
}

func clientFor(t *testing.T, cfg *rest.Config) client.Client {
	t.Helper()

	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}

	ctrllog.SetLogger(logr.Discard()) // else it warns that there is none

	cfg = rest.CopyConfig(cfg)
	cfg.WarningHandler = rest.NoWarnings{}

	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}

	return c
}

// edit makes the edit with this number.
func (e *edited) edit(ctx context.Context, n int64) error {
	o := &v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "edited"}}
	patch := fmt.Sprintf(`{"spec": {"env": [{"name": "EDIT", "value": "%d"}]}}`, n)

	return e.Patch(ctx, o, client.RawPatch("application/merge-patch+json", []byte(patch)))
}

// look notes the newest edit that is Ready.
func (e *edited) look(ctx context.Context) error {
	o := &v1alpha1.Injection{}
	if err := e.Get(ctx, client.ObjectKey{Namespace: "shop", Name: "edited"}, o); err != nil {
		return err
	}

	ready := meta.FindStatusCondition(o.Status.Conditions, v1alpha1.ReadyCondition)
	if ready == nil || ready.Status != metav1.ConditionTrue || ready.ObservedGeneration != o.Generation {
		return fmt.Errorf("edit %s is not ready: %+v", o.Spec.Env[0].Value, ready)
	}

	n, err := strconv.ParseInt(o.Spec.Env[0].Value, 10, 64)
	if err == nil {
		e.ready.Store(n)
	}

	return err
}

// pod makes a pod, and returns whether it says that it may lack something. A pod
// that lacks an edit that was Ready before, and does not say so, fails the test.
func (e *edited) pod(ctx context.Context, t *testing.T) bool {
	t.Helper()

	least := e.ready.Load()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", GenerateName: "checkout-", Labels: map[string]string{"app": "checkout"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "registry.example/app:1"}}},
	}

	if err := e.Create(ctx, p); err != nil {
		t.Error(err)

		return false
	}

	e.pods++

	if p.Annotations[v1alpha1.FailedAnnotation] != "" {
		e.failed++

		return true
	}

	if env := p.Spec.Containers[0].Env; len(env) != 1 {
		t.Errorf("silent miss: edit %d was ready, and the pod has %v %v", least, env, p.Annotations)
	} else if n, err := strconv.ParseInt(env[0].Value, 10, 64); err != nil || n < least {
		t.Errorf("silent miss: edit %d was ready, and the pod has %d (%v) %v", least, n, err, p.Annotations)
	}

	return false
}

// storm edits and creates pods, all the time, until stop is called.
func (e *edited) storm(t *testing.T) (stop func()) {
	t.Helper()

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{}, 3)
	every := func(d time.Duration, do func()) {
		defer func() { ended <- struct{}{} }()

		tick := time.NewTicker(d)
		defer tick.Stop()

		for {
			select {
			case <-tick.C:
				do()
			case <-ctx.Done():
				return
			}
		}
	}

	n := e.ready.Load()

	go every(time.Second, func() {
		n++
		if err := e.edit(context.WithoutCancel(ctx), n); err != nil {
			t.Error(err)
		}
	})
	go every(50*time.Millisecond, func() { _ = e.look(context.WithoutCancel(ctx)) })
	go every(50*time.Millisecond, func() { e.pod(context.WithoutCancel(ctx), t) })

	return func() {
		cancel()

		for range 3 {
			<-ended
		}
	}
}

// TestNoSilentMiss holds back the watches of the replica that is asked about all
// pods, or all its calls, while an Injection is edited each second. No pod that is
// made after Ready is True for an edit lacks it without saying so. The other replica
// stays ready, and edits become ready soon, also if the leader is the one that is
// stalled. Once the stall is over, pods have each edit again.
func TestNoSilentMiss(t *testing.T) {
	for name, tc := range map[string]struct{ leads, all bool }{
		"WatchOfLeader": {leads: true},
		"Watch":         {},
		"AllCalls":      {all: true},
	} {
		t.Run(name, func(t *testing.T) {
			e := startEdited(t, tc.leads)

			stop := e.storm(t)
			<-time.After(5 * time.Second)

			if e.failed > 0 {
				stop()
				t.Fatalf("%d pods of %d have a failure before the stall", e.failed, e.pods)
			}

			e.stall(true, tc.all)

			start := time.Now()
			behind := harness.Eventually(t, "the replica knows that it is behind", func(ctx context.Context) error {
				age, err := e.asked.Metric(ctx, "telltale_view_age_seconds")
				if err == nil && age < 10 {
					err = fmt.Errorf("the view's age is %v", age)
				}

				if ready := e.other.Ready(ctx); ready != nil {
					t.Errorf("the other replica is not ready: %v", ready)
				}

				return err
			})

			if !tc.all {
				harness.Eventually(t, "the replica is not ready", func(ctx context.Context) error {
					if e.asked.Ready(ctx) == nil {
						return errors.New("it is ready")
					}

					return nil
				})
			}

			stop()
			harness.Eventually(t, "an edit is ready without the replica that is behind", func(ctx context.Context) error {
				return errors.Join(e.look(ctx), e.other.Ready(ctx))
			})
			t.Logf("%v after the stall began it knew, and %v after an edit was ready again", behind, time.Since(start))

			for range 20 {
				if !e.pod(t.Context(), t) {
					t.Error("a pod has no failure, and its replica is behind")
				}
			}

			e.stall(false, false)

			back := harness.Eventually(t, "it has caught up", func(ctx context.Context) error {
				if e.pod(ctx, t) {
					return errors.New("pods have failures")
				}

				return e.asked.Ready(ctx)
			})
			t.Logf("%v after the stall ended it had caught up; %d pods, %d with a failure", back, e.pods, e.failed)

			before := e.failed
			stop = e.storm(t)
			<-time.After(5 * time.Second)
			stop()

			if e.failed > before {
				t.Errorf("%d pods have a failure after the stall", e.failed-before)
			}
		})
	}
}

// TestOneReplica takes the API server away from the only replica, for longer than it
// trusts its view beside others. It stays ready, and no pod has a failure.
func TestOneReplica(t *testing.T) {
	t.Parallel()

	c, port := startInstalled(t)

	e := &edited{cluster: c, Client: clientFor(t, c.Config), asked: c.launch(t, port)}
	harness.WaitReady(t, e.asked)
	c.output(t, "LS0t", "get", "mutatingwebhookconfiguration", "telltale", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")
	c.apply(t, envInjection("edited", "checkout", "EDIT", "0"))
	harness.Eventually(t, "the edit is ready", e.look)

	for _, outage := range []struct{ begin, end func() }{
		{c.PauseAPIServer, c.ResumeAPIServer},
		{c.StopAPIServer, func() {
			if err := c.StartAPIServer(t.Context()); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		outage.begin()

		for range 15 {
			<-time.After(time.Second)

			if err := e.asked.Ready(t.Context()); err != nil {
				t.Error(err)
			}
		}

		outage.end()

		for range 20 {
			if e.pod(t.Context(), t) {
				t.Error("a pod has a failure")
			}
		}
	}
}

// TestHeartbeatsRefused takes the right to write heartbeats away, as it is after an
// update of the program alone. All goes on as before there were any, and the metric
// says so.
func TestHeartbeatsRefused(t *testing.T) {
	t.Parallel()

	c, port := startInstalled(t)
	c.kubectl(t, "patch", "role", "telltale", "-n", "telltale-system", "--type=json", "--patch",
		`[{"op": "test", "path": "/rules/1/resourceNames", "value": ["telltale-replicas"]}, {"op": "remove", "path": "/rules/1"}]`)

	e := &edited{cluster: c, Client: clientFor(t, c.Config), asked: c.launch(t, port)}
	harness.WaitReady(t, e.asked)
	c.output(t, "LS0t", "get", "mutatingwebhookconfiguration", "telltale", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")
	c.apply(t, envInjection("edited", "checkout", "EDIT", "0"))
	harness.Eventually(t, "the edit is ready", e.look)

	if e.pod(t.Context(), t) {
		t.Error("a pod has a failure")
	}

	harness.Eventually(t, "the metric says so", func(ctx context.Context) error {
		age, err := e.asked.Metric(ctx, "telltale_view_age_seconds")
		if err == nil && age < 10 {
			err = fmt.Errorf("the view's age is %v", age)
		}

		return err
	})
}
