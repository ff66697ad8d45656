//go:build apiserver

package stress

import (
	"context"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/record"

	"github.com/telltale-dev/telltale/test/harness"
)

// recorder reports one failure on a Deployment.
type recorder func(d *appsv1.Deployment, text string)

// toolsRecord starts the recorder of most controllers, as its documentation has it.
func toolsRecord(t *testing.T, api kubernetes.Interface) recorder {
	t.Helper()
	b := record.NewBroadcaster()
	b.StartRecordingToSink(&corev1client.EventSinkImpl{Interface: api.CoreV1().Events("")})
	t.Cleanup(b.Shutdown)
	r := b.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "webhook"})

	return func(d *appsv1.Deployment, text string) {
		r.Event(d, corev1.EventTypeWarning, "InjectionConflict", text)
	}
}

// toolsEvents starts the newer one, which controller-runtime hands out, likewise.
func toolsEvents(t *testing.T, api kubernetes.Interface) recorder {
	t.Helper()
	b := events.NewBroadcaster(&events.EventSinkImpl{Interface: api.EventsV1()})
	if err := b.StartRecordingToSinkWithContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Shutdown)
	r := b.NewRecorder(scheme.Scheme, "webhook")

	return func(d *appsv1.Deployment, text string) {
		r.Eventf(d, nil, corev1.EventTypeWarning, "InjectionConflict", "Inject", "%s", text)
	}
}

// TestRecorders: the storm of TestStorm through the recorders of client-go. It only
// measures how many failures they show.
func TestRecorders(t *testing.T) {
	alongside(t)
	for name, of := range map[string]func(*testing.T, kubernetes.Interface) recorder{
		"tools/record": toolsRecord,
		"tools/events": toolsEvents,
	} {
		t.Run(name, func(t *testing.T) {
			alongside(t)
			s := start(t, shared, "the same storm through client-go's "+name, "nothing: it is there to compare", 0, 1)
			d, err := s.deployment(t.Context(), s.namespaces[0], "web")
			if err != nil {
				t.Fatal(err)
			}
			report := of(t, s.user())
			n, rate := scale(1000, 10_000), scale(500.0, 3000)
			for begin, i := time.Now(), 0; i < n; i++ {
				<-time.After(time.Until(begin.Add(time.Duration(float64(i) / rate * float64(time.Second)))))
				report(d, `ClusterInjection "stress" not applied: container "app" already sets env HTTP_PROXY`)
			}
			s.failures = int64(n)
			s.shown = s.still(scale(5*time.Second, 20*time.Second))
			if s.shown < 1 {
				t.Error("no event: the recorder did not run")
			}
		})
	}
}

// user is a client with the defaults of client-go, whose writes are counted.
func (s *scenario) user() kubernetes.Interface {
	s.Helper()
	config := rest.CopyConfig(s.telltale) // with a client's defaults, and through the proxy
	config.QPS, config.Impersonate = 0, rest.ImpersonationConfig{}
	api, err := kubernetes.NewForConfig(config)
	if err != nil {
		s.Fatal(err)
	}

	return api
}

// still waits until the events of the scenario's namespace show the same for some
// time, and returns how many failures they show, as kubectl describe does.
func (s *scenario) still(quiet time.Duration) (shown int64) {
	s.Helper()
	last, since := int64(-1), time.Now()
	harness.Eventually(s.T, "the events change no more", func(ctx context.Context) error {
		list, err := s.api.CoreV1().Events(s.namespaces[0]).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		shown = 0
		for _, e := range list.Items {
			switch {
			case e.Series != nil:
				shown += int64(e.Series.Count)
			default:
				shown += int64(max(e.Count, 1))
			}
		}
		if shown != last {
			last, since = shown, time.Now()
		}

		return want("still", time.Since(since) > quiet, true)
	})

	return shown
}
