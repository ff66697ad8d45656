//go:build apiserver

package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// api is the real API server of this package's tests.
var api *kubernetes.Clientset

func TestMain(m *testing.M) {
	os.Exit(harness.WithControlPlane(controlplane.Options{NoControllerManager: true}, func(cp *controlplane.ControlPlane) int {
		api = kubernetes.NewForConfigOrDie(cp.Config)

		return m.Run()
	}))
}

// register makes the API server call a handler over HTTPS for pods of the
// namespace default, until the test ends.
func register(t *testing.T, handler http.Handler, timeoutSeconds int32) {
	t.Helper()

	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)

	ignore, none := admissionregistrationv1.Ignore, admissionregistrationv1.SideEffectClassNoneOnDryRun
	url := server.URL + Path
	configurations := api.AdmissionregistrationV1().MutatingWebhookConfigurations()

	_, err := configurations.Create(t.Context(), &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "telltale"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "pods.telltale.dev", AdmissionReviewVersions: []string{"v1"},
			FailurePolicy: &ignore, SideEffects: &none, TimeoutSeconds: &timeoutSeconds,
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				URL:      &url,
				CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		if err := configurations.Delete(context.Background(), "telltale", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// create makes a pod through the API server, again and again until the webhook
// is called for it: the API server needs a moment to notice a new registration.
func create(t *testing.T, pod *corev1.Pod, called <-chan struct{}, dryRun ...string) (*corev1.Pod, error) {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()

	for {
		made, err := api.CoreV1().Pods("default").Create(ctx, pod, metav1.CreateOptions{DryRun: dryRun})
		if err == nil && len(dryRun) == 0 {
			t.Cleanup(func() {
				now := int64(0)
				_ = api.CoreV1().Pods("default").Delete(context.Background(), made.Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
			})
		}

		select {
		case <-called:
			return made, err
		case <-ctx.Done():
			t.Fatal("the API server never called the webhook")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func pod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "shell-", Namespace: "default"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "registry.example/shell:1"}}},
	}
}

// noting also returns a channel that gets a value for each request.
func noting(h http.Handler) (http.Handler, <-chan struct{}) {
	called := make(chan struct{}, 1000)

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		called <- struct{}{}

		h.ServeHTTP(w, r)
	}), called
}

// spoiling changes the body of every review on its way.
func spoiling(h http.Handler, spoil func([]byte) []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}

		r.Body = io.NopCloser(bytes.NewReader(spoil(body)))
		h.ServeHTTP(w, r)
	})
}

// TestFaultsAdmit makes each fault happen between a real API server and us: the
// pod is created, the failure is reported with its reason, and the pod carries
// the record if the pod could be read.
func TestFaultsAdmit(t *testing.T) {
	cases := map[string]struct {
		reason  string
		matcher matchFunc
		spoil   func([]byte) []byte
		want    failure.Reason
		record  string
	}{
		"Panic": {
			reason:  "Our own bug must not stop a pod.",
			matcher: func(patches.Traits, string) ([]patches.Match, error) { panic("at the disco") },
			want:    failure.Error, record: "*=InjectionError",
		},
		"ColdCache": {
			reason:  "Injections that are not loaded may exist.",
			matcher: func(patches.Traits, string) ([]patches.Match, error) { return nil, errors.New("cold") },
			want:    failure.NotLoaded, record: "*=InjectionsNotLoaded",
		},
		"UndecodablePod": {
			reason:  "A pod that we can't read is admitted.",
			matcher: knows(injection("proxy", "HTTP_PROXY", "p")),
			spoil: func(b []byte) []byte {
				return bytes.Replace(b, []byte(`"containers":[`), []byte(`"containers":3,"x":[`), 1)
			},
			want: failure.Error,
		},
		"NoObject": {
			reason:  "A review without a pod is no reason to refuse one.",
			matcher: knows(),
			spoil:   func(b []byte) []byte { return bytes.Replace(b, []byte(`"object":`), []byte(`"noObject":`), 1) },
			want:    failure.Error,
		},
		"NotJSON": {
			reason:  "A body that is no review gets HTTP 400, and the API server admits the pod.",
			matcher: knows(),
			spoil:   func([]byte) []byte { return []byte("<xml/>") },
			want:    failure.Error,
		},
		"Empty": {
			reason:  "An empty body is no review either.",
			matcher: knows(),
			spoil:   func([]byte) []byte { return nil },
			want:    failure.Error,
		},
		"OtherResource": {
			reason:  "The webhook may be registered for more than pods.",
			matcher: knows(),
			spoil: func(b []byte) []byte {
				return bytes.ReplaceAll(b, []byte(`"resource":"pods"`), []byte(`"resource":"nodes"`))
			},
			want: failure.Error,
		},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var reported reports

			var h http.Handler = New(c.matcher, &reported, Options{})
			if c.spoil != nil {
				h = spoiling(h, c.spoil)
			}

			h, called := noting(h)
			register(t, h, 30)

			made, err := create(t, pod(), called)
			if err != nil {
				t.Fatalf("%s the pod was refused: %v", c.reason, err)
			}

			if got := made.Annotations[v1alpha1.FailedAnnotation]; got != c.record {
				t.Errorf("%s the pod's record is %q, want %q", c.reason, got, c.record)
			}

			if diff := cmp.Diff([]failure.Reason{c.want}, reported.reasons()); diff != "" {
				t.Errorf("%s reported: -want +got\n%s", c.reason, diff)
			}
		})
	}
}

// TestCallerStoppedWaiting answers only after the API server has given up,
// which it does after a second: the pod exists without its Injection, and the
// failure is reported.
func TestCallerStoppedWaiting(t *testing.T) {
	var reported reports

	known, leave := knows(injection("proxy", "HTTP_PROXY", "p")), make(chan struct{})
	done := make(chan struct{}, 1000)
	in := New(matchFunc(func(pod patches.Traits, ns string) ([]patches.Match, error) {
		<-leave

		return known(pod, ns)
	}), &reported, Options{Patience: time.Second})

	h, called := noting(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in.ServeHTTP(w, r)
		done <- struct{}{}
	}))
	register(t, h, 1)

	made, err := create(t, pod(), called)
	if err != nil {
		t.Fatalf("the pod was refused: %v", err)
	}

	if len(made.Spec.Containers[0].Env) != 0 {
		t.Fatalf("the pod was injected: the API server did not give up")
	}

	close(leave)
	<-done

	got := reported.all()
	if len(got) != 1 || got[0].Reason != failure.Timeout || got[0].Injection.Name != "proxy" {
		t.Fatalf("want one %s of proxy, got %v", failure.Timeout, got)
	}

	if got[0].Trace == "" || got[0].Trace != patches.Trace(made, made.Namespace) {
		t.Errorf("the pod that exists is not the one that timed out: trace %q", got[0].Trace)
	}
}

// TestDryRun gets the same answer and reports nothing.
func TestDryRun(t *testing.T) {
	var reported reports

	wrong := injection("wrong", "HTTP_PROXY", "q")
	h, called := noting(New(knows(injection("proxy", "HTTP_PROXY", "p"), wrong), &reported, Options{}))
	register(t, h, 30)

	made, err := create(t, pod(), called, metav1.DryRunAll)
	if err != nil {
		t.Fatal(err)
	}

	if got := made.Spec.Containers[0].Env; len(got) != 1 || got[0].Value != "p" {
		t.Errorf("dry run got env %v", got)
	}

	if made.Annotations[v1alpha1.FailedAnnotation] != recorded(wrong)+"=InjectionConflict" || len(reported.all()) != 0 {
		t.Errorf("annotations %v, reported %v", made.Annotations, reported.all())
	}
}

// TestDenied refuses the pod with the text of the event.
func TestDenied(t *testing.T) {
	var reported reports

	h, called := noting(New(knows(injection("a", "HTTP_PROXY", "p"), denying(injection("b", "HTTP_PROXY", "q"))), &reported, Options{}))
	register(t, h, 30)

	_, err := create(t, pod(), called)

	want := `Injection "b" not applied: Injection "a" already sets env HTTP_PROXY in container "app".`
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), want) {
		t.Errorf("want a refusal with %q, got %v", want, err)
	}

	if diff := cmp.Diff([]failure.Reason{failure.Conflict}, reported.reasons()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestLargePod injects a pod of 1 MB.
func TestLargePod(t *testing.T) {
	var reported reports

	h, called := noting(New(knows(injection("proxy", "HTTP_PROXY", "p")), &reported, Options{}))
	register(t, h, 30)

	large := pod()
	large.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "LARGE", Value: strings.Repeat("x", 1<<20)}}

	if raw, err := json.Marshal(large); err != nil || len(raw) < 1<<20 {
		t.Fatalf("the pod has %d bytes, %v", len(raw), err)
	}

	made, err := create(t, large, called)
	if err != nil {
		t.Fatal(err)
	}

	if got := made.Spec.Containers[0].Env; len(got) != 2 || got[0].Name != "HTTP_PROXY" || len(reported.all()) != 0 {
		t.Errorf("the pod has %d variables, reported %v", len(got), reported.all())
	}
}
