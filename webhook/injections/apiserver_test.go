//go:build apiserver

package injections

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
)

// log collects lines.
type log struct {
	mu    sync.Mutex
	lines strings.Builder
}

func (l *log) write(prefix, args string) {
	l.mu.Lock()
	defer l.mu.Unlock()

	fmt.Fprintln(&l.lines, prefix, args)
}

func (l *log) has(s string) error {
	l.mu.Lock()
	defer l.mu.Unlock()

	if !strings.Contains(l.lines.String(), s) {
		return fmt.Errorf("the log does not say %q: %s", s, l.lines.String())
	}

	return nil
}

// start runs a manager that follows the Injections of a control plane, until stop
// is called or the test ends, and has the work done beside it.
func start(t *testing.T, cp *controlplane.ControlPlane, logger logr.Logger, work ...func(*Injections, manager.Manager) func(context.Context)) (in *Injections, stop func()) {
	t.Helper()

	in = New(logger)

	m, err := manager.New(cp.Config, manager.Options{
		Scheme: schemeFor(t), Logger: logger, Metrics: metricsserver.Options{BindAddress: "0"},
		Cache: in.Cache("default"),
	})
	if err != nil {
		t.Fatal(err)
	}

	err = in.Watch(m, "default")

	for _, w := range work {
		do := w(in, m)
		err = errors.Join(err, m.Add(manager.RunnableFunc(func(ctx context.Context) error {
			do(ctx)

			return nil
		})))
	}

	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)

	go func() { ended <- m.Start(ctx) }()

	stop = sync.OnceFunc(func() {
		cancel()

		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)

	return in, stop
}

// keeping is the work of a leader.
func keeping(t *testing.T) func(*Injections, manager.Manager) func(context.Context) {
	t.Helper()

	return func(in *Injections, m manager.Manager) func(context.Context) {
		s, err := in.Status(m, "default", true)
		if err != nil {
			t.Fatal(err)
		}

		return s.Keep
	}
}

func schemeFor(t *testing.T) *runtime.Scheme {
	t.Helper()

	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}

	return scheme
}

func clientFor(t *testing.T, cp *controlplane.ControlPlane) client.WithWatch {
	t.Helper()

	c, err := client.NewWithWatch(cp.Config, client.Options{Scheme: schemeFor(t)})
	if err != nil {
		t.Fatal(err)
	}

	return c
}

// TestLife follows the Injections of a real API server from before its CRDs are
// there.
func TestLife(t *testing.T) {
	cp := harness.ControlPlane(t, controlplane.Options{NoControllerManager: true})
	c := clientFor(t, cp)

	var lines log

	in, _ := start(t, cp, funcr.New(lines.write, funcr.Options{}), keeping(t))

	must := func(err error) {
		t.Helper()

		if err != nil {
			t.Fatal(err)
		}
	}
	has := func(want ...string) {
		t.Helper()
		harness.Eventually(t, "the set", func(context.Context) error {
			if err := in.Check(nil); err != nil {
				return err
			}

			if diff := cmp.Diff(append([]string{}, want...), names(t, in)); diff != "" {
				return fmt.Errorf("-want +got\n%s", diff)
			}

			return nil
		})
	}
	ready := func(o client.Object, want metav1.ConditionStatus, message string) {
		t.Helper()
		harness.Eventually(t, "Ready of "+o.GetName(), func(ctx context.Context) error {
			if err := c.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
				return err
			}

			got := meta.FindStatusCondition(statusOf(o).Conditions, v1alpha1.ReadyCondition)
			if got == nil || got.Status != want || !strings.Contains(got.Message, message) ||
				got.ObservedGeneration != o.GetGeneration() || statusOf(o).ObservedGeneration != o.GetGeneration() {
				return fmt.Errorf("generation %d has %+v", o.GetGeneration(), got)
			}

			return nil
		})
	}

	// Without CRDs it waits, and says what it waits for.
	harness.Eventually(t, "the log", func(context.Context) error { return lines.has("are the CRDs installed?") })

	if err := in.Check(nil); err == nil {
		t.Error("ready without CRDs")
	}

	// These CRDs check nothing, as CRDs of a version before the checks.
	read := envtest.CRDInstallOptions{Paths: []string{"../../config/crd/bases"}, ErrorIfPathMissing: true}
	must(envtest.ReadCRDFiles(&read))

	for _, crd := range read.CRDs {
		loose := crd.DeepCopy()
		preserve := true
		spec := loose.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
		loose.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"] = apiextensionsv1.JSONSchemaProps{
			Type: spec.Type, XPreserveUnknownFields: &preserve,
		}
		must(c.Create(t.Context(), loose))
	}

	must(c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}))
	has()

	// An Injection that can't be used says so.
	twice := injection("twice", 0, "A", "A")
	harness.Eventually(t, "create", func(ctx context.Context) error { return c.Create(ctx, twice) })
	has("twice")
	ready(twice, metav1.ConditionFalse, `spec.env[1]: "A" is there twice`)

	// Corrected, and with the real CRDs, it is in force.
	for _, crd := range read.CRDs {
		installed := &apiextensionsv1.CustomResourceDefinition{}
		must(c.Get(t.Context(), client.ObjectKeyFromObject(crd), installed))
		installed.Spec = *crd.Spec.DeepCopy()
		must(c.Update(t.Context(), installed))
	}

	must(c.Get(t.Context(), client.ObjectKeyFromObject(twice), twice))
	twice.Spec.Env = twice.Spec.Env[:1]
	must(c.Update(t.Context(), twice))
	ready(twice, metav1.ConditionTrue, "Pods that are created from now on get it")

	// A ClusterInjection selects by the labels of the namespace.
	prod := &v1alpha1.ClusterInjection{ObjectMeta: metav1.ObjectMeta{Name: "prod"}}
	prod.Spec.InjectionSpec = *injection("", 0, "B").Spec.DeepCopy()
	prod.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"env": "prod"}}
	must(c.Create(t.Context(), prod))
	ready(prod, metav1.ConditionTrue, "")
	has("twice")

	shop := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	must(c.Patch(t.Context(), shop, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"env":"prod"}}}`))))
	has("cluster/prod", "twice")

	// The Injection is deleted.
	must(c.Delete(t.Context(), twice))
	has("cluster/prod")
}
