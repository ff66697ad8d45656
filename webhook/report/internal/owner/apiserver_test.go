//go:build apiserver

package owner

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// cp is the API server that the tests share. Each test has its own namespace.
var cp *controlplane.ControlPlane

func TestMain(m *testing.M) {
	os.Exit(harness.WithControlPlane(controlplane.Options{NoControllerManager: true}, func(c *controlplane.ControlPlane) int {
		cp = c

		return m.Run()
	}))
}

func create[T client.Object](t *testing.T, o T) T {
	t.Helper()
	c, err := client.New(cp.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}

	return o
}

func namespaceFor(t *testing.T) string {
	t.Helper()

	return create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "owner-"}}).Name
}

func resolver(t *testing.T, cfg *rest.Config) *Resolver {
	t.Helper()
	r, err := New(cfg, time.Hour)
	if err != nil {
		t.Fatal(err)
	}

	return r
}

func meta(namespace, name string, controllers ...metav1.OwnerReference) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, OwnerReferences: controllers}
}

func controlledBy(apiVersion, kind, name string) metav1.OwnerReference {
	yes := true

	return metav1.OwnerReference{
		APIVersion: apiVersion, Kind: kind, Name: name, UID: types.UID("uid-of-" + name), Controller: &yes,
	}
}

func template() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyAlways,
			Containers:    []corev1.Container{{Name: "app", Image: "app"}},
		},
	}
}

func replicaSet(t *testing.T, m metav1.ObjectMeta) failure.Ref {
	t.Helper()
	o := create(t, &appsv1.ReplicaSet{ObjectMeta: m, Spec: appsv1.ReplicaSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, Template: template(),
	}})

	return failure.Ref{APIVersion: "apps/v1", Kind: "ReplicaSet", Namespace: o.Namespace, Name: o.Name, UID: o.UID}
}

func job(t *testing.T, m metav1.ObjectMeta) failure.Ref {
	t.Helper()
	pod := template()
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	o := create(t, &batchv1.Job{ObjectMeta: m, Spec: batchv1.JobSpec{Template: pod}})

	return failure.Ref{APIVersion: "batch/v1", Kind: "Job", Namespace: o.Namespace, Name: o.Name, UID: o.UID}
}

func pod(t *testing.T, m metav1.ObjectMeta) failure.Ref {
	t.Helper()
	o := create(t, &corev1.Pod{ObjectMeta: m, Spec: template().Spec})

	return failure.Ref{APIVersion: "v1", Kind: "Pod", Namespace: o.Namespace, Name: o.Name, UID: o.UID}
}

func TestControllers(t *testing.T) {
	t.Parallel()
	ns := namespaceFor(t)
	bareSet, bareJob := replicaSet(t, meta(ns, "bare")), job(t, meta(ns, "bare"))
	owned := controlledBy("apps/v1", "Deployment", "somebody")
	owned.Controller = nil
	ownedSet := replicaSet(t, meta(ns, "owned", owned))
	driver := pod(t, meta(ns, "driver", controlledBy("sparkoperator.k8s.io/v1", "SparkApplication", "pi")))
	cases := map[string]struct {
		reason string
		ref    failure.Ref
		want   failure.Ref
	}{
		"Deployment": {
			reason: "A pod of a Deployment refers to its ReplicaSet.",
			ref:    replicaSet(t, meta(ns, "web-1", controlledBy("apps/v1", "Deployment", "web"))),
			want:   failure.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: ns, Name: "web", UID: "uid-of-web"},
		},
		"Rollout": {
			reason: "Objects of other kinds may control ReplicaSets, too.",
			ref:    replicaSet(t, meta(ns, "web-2", controlledBy("argoproj.io/v1alpha1", "Rollout", "web"))),
			want:   failure.Ref{APIVersion: "argoproj.io/v1alpha1", Kind: "Rollout", Namespace: ns, Name: "web", UID: "uid-of-web"},
		},
		"CronJob": {
			reason: "A pod of a CronJob refers to its Job.",
			ref:    job(t, meta(ns, "backup-1", controlledBy("batch/v1", "CronJob", "backup"))),
			want:   failure.Ref{APIVersion: "batch/v1", Kind: "CronJob", Namespace: ns, Name: "backup", UID: "uid-of-backup"},
		},
		"Pod":            {"A Spark pod controls others, and need not say that one of them failed.", driver, driver},
		"BareReplicaSet": {"It has no controller.", bareSet, bareSet},
		"BareJob":        {"It has no controller.", bareJob, bareJob},
		"OnlyOwned":      {"An owner that is not the controller did not make the pods.", ownedSet, ownedSet},
	}
	for title, tc := range cases {
		got, err := resolver(t, cp.Config).Resolve(t.Context(), failure.Failure{Owner: tc.ref}, 0)
		if got != tc.want || err != nil {
			t.Errorf("%s: %s: got %+v, %v, want %+v", title, tc.reason, got, err, tc.want)
		}
	}
}

// TestForged: if the API server does not know an object by the name and uid of
// the review, the object is no owner.
func TestForged(t *testing.T) {
	t.Parallel()
	ns, other := namespaceFor(t), namespaceFor(t)
	realSet := replicaSet(t, meta(ns, "web-1", controlledBy("apps/v1", "Deployment", "web")))
	realJob, realPod := job(t, meta(ns, "backup-1")), pod(t, meta(ns, "driver"))
	r := resolver(t, cp.Config)
	if _, err := r.Resolve(t.Context(), failure.Failure{Owner: realSet}, 0); err != nil { // known from now on
		t.Fatal(err)
	}
	for title, change := range map[string]func(*failure.Ref){
		"OtherUID":       func(f *failure.Ref) { f.UID = "forged" },
		"NoUID":          func(f *failure.Ref) { f.UID = "" },
		"OtherName":      func(f *failure.Ref) { f.Name = "web-2" },
		"OtherNamespace": func(f *failure.Ref) { f.Namespace = other },
	} {
		for _, ref := range []failure.Ref{realSet, realJob, realPod} {
			change(&ref)
			if ref.Kind == "Pod" && ref.UID == "" {
				continue // for bare pods, see TestPods
			}
			if got, err := r.Resolve(t.Context(), failure.Failure{Owner: ref}, 0); !errors.Is(err, ErrUnconfirmed) {
				t.Errorf("%s: got %+v, %v", title, got, err)
			}
		}
	}
}

// TestNamespaceGone: an object that is not there because its namespace was
// deleted is no sign of a forged review.
func TestNamespaceGone(t *testing.T) {
	t.Parallel()
	going := namespaceFor(t)
	c, err := client.New(cp.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	create(t, &corev1.ConfigMap{ObjectMeta: meta(going, "x")}) // without a controller manager, it stays
	if err := c.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: going}}); err != nil {
		t.Fatal(err)
	}
	for namespace, want := range map[string]error{going: ErrNamespaceGone, "no-such": ErrNamespaceGone, namespaceFor(t): ErrUnconfirmed} {
		ref := failure.Ref{APIVersion: "apps/v1", Kind: "ReplicaSet", Namespace: namespace, Name: "web-1", UID: "1"}
		if _, err := resolver(t, cp.Config).Resolve(t.Context(), failure.Failure{Owner: ref}, 0); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

func TestPods(t *testing.T) {
	t.Parallel()
	ns := namespaceFor(t)
	failed := func(annotation string) *corev1.Pod {
		m := metav1.ObjectMeta{Namespace: ns, GenerateName: "pod-", Annotations: map[string]string{v1alpha1.FailedAnnotation: annotation}}

		return create(t, &corev1.Pod{ObjectMeta: m, Spec: template().Spec})
	}
	inNamespace := failure.Ref{APIVersion: "v1", Kind: "Namespace", Namespace: ns, Name: ns}
	ours, strangers := failed("ca@77d0e2c4=InjectionUnsafe,proxy@5f3c9a1b=InjectionConflict"), failed("ca@77d0e2c4=InjectionUnsafe")
	old := failed("proxy=InjectionConflict")
	cases := map[string]struct {
		reason string
		name   string
		ago    time.Duration
		want   failure.Ref
		err    error
	}{
		"Exists": {
			reason: "The pod's record says that this Injection failed.", name: ours.Name,
			want: failure.Ref{APIVersion: "v1", Kind: "Pod", Namespace: ns, Name: ours.Name, UID: ours.UID},
		},
		"Old": {
			reason: "A version without revisions wrote the record.", name: old.Name,
			want: failure.Ref{APIVersion: "v1", Kind: "Pod", Namespace: ns, Name: old.Name, UID: old.UID},
		},
		"Stranger": {reason: "The pod's record does not say so.", name: strangers.Name, want: inNamespace},
		"NotYet":   {reason: "A pod is created after its admission.", name: "soon", err: ErrNoPod},
		"Never":    {reason: "The pod would exist by now.", name: "soon", ago: PodWait, want: inNamespace},
	}
	for title, tc := range cases {
		got, err := resolver(t, cp.Config).Resolve(t.Context(), failure.Failure{
			Reason: failure.Conflict, Injection: failure.Injection{Name: "proxy"},
			Owner: failure.Ref{APIVersion: "v1", Kind: "Pod", Namespace: ns, Name: tc.name},
		}, tc.ago)
		if !errors.Is(err, tc.err) || err == nil && got != tc.want {
			t.Errorf("%s: %s: got %+v, %v", title, tc.reason, got, err)
		}
	}
}

// TestForbidden: without the right to look, no owner is confirmed, and nothing
// is given up.
func TestForbidden(t *testing.T) {
	t.Parallel()
	ref := replicaSet(t, meta(namespaceFor(t), "web-1"))
	_, err := resolver(t, cp.User("nobody")).Resolve(t.Context(), failure.Failure{Owner: ref}, 0)
	if !apierrors.IsForbidden(err) || errors.Is(err, ErrUnconfirmed) {
		t.Errorf("got %v", err)
	}
}

// TestKnown: a confirmed owner is not read again.
func TestKnown(t *testing.T) {
	t.Parallel()
	var reads atomic.Int64
	cfg := rest.CopyConfig(cp.Config)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return counter{next, &reads} })
	r, ref := resolver(t, cfg), replicaSet(t, meta(namespaceFor(t), "web-1", controlledBy("apps/v1", "Deployment", "web")))
	for range 3 {
		if got, err := r.Resolve(t.Context(), failure.Failure{Owner: ref}, 0); got.Name != "web" || err != nil {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if n := reads.Load(); n != 1 {
		t.Errorf("%d reads", n)
	}
}

type counter struct {
	http.RoundTripper
	calls *atomic.Int64
}

func (c counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.calls.Add(1)

	return c.RoundTripper.RoundTrip(r)
}

// TestForgotten: the memory does not grow with the owners that there ever were.
func TestForgotten(t *testing.T) {
	t.Parallel()
	r, err := New(cp.Config, time.Nanosecond)
	if err != nil {
		t.Fatal(err)
	}
	ns := namespaceFor(t)
	for i := range 10 {
		ref := replicaSet(t, meta(ns, fmt.Sprintf("web-%d", i)))
		if _, err := r.Resolve(t.Context(), failure.Failure{Owner: ref}, 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.known.Len(); n > 1 {
		t.Errorf("%d answers are kept, want the last one at most", n)
	}
}
