//go:build apiserver

package injections

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/harness"
)

// TestSpreading has a replica lack edits. Ready says nothing new for a while, then
// that it waits, and is True only once all have the edit. The API server is not
// asked before that. Later, a replica that starts changes nothing.
func TestSpreading(t *testing.T) {
	cp, c := withShop(t)
	p := &peers{}
	lacking := func(kind, _ string) string {
		if kind != Injection {
			return ""
		}

		return "telltale-b"
	}

	start(t, cp, logr.Discard(), func(in *Injections, _ manager.Manager) func(context.Context) {
		in.Compare(p)

		return func(context.Context) {}
	}, keeping(t))

	o := injection("proxy", 0, "A")
	says := func(what string, want metav1.ConditionStatus, reason string, asked bool) {
		t.Helper()
		harness.Eventually(t, what, func(ctx context.Context) error {
			if err := c.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
				return err
			}

			ready := meta.FindStatusCondition(o.Status.Conditions, v1alpha1.ReadyCondition)
			if ready == nil || ready.Status != want || ready.Reason != reason || ready.ObservedGeneration != o.Generation {
				return fmt.Errorf("got %+v", ready)
			}

			if is := o.Status.ServerCheck != nil && o.Status.ServerCheck.Revision == o.Status.Revision; is != asked {
				return fmt.Errorf("the API server was asked: %t", is)
			}

			return nil
		})
	}

	p.lacks.Store(&lacking)

	created := time.Now()
	if err := c.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}

	says("a replica lacks it", metav1.ConditionFalse, reasonSpreading, false)

	if took := time.Since(created); took < quietly {
		t.Errorf("that was said after %v", took)
	}

	p.lacks.Store(nil)
	says("all have it", metav1.ConditionTrue, reasonInForce, true)

	// Another replica starts, and a LimitRange has the Injection looked at again.
	p.lacks.Store(&lacking)

	limit := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "l"}, Spec: corev1.LimitRangeSpec{
		Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypeContainer, Max: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4")}}},
	}}
	if err := c.Create(t.Context(), limit); err != nil {
		t.Fatal(err)
	}

	<-time.After(quietly + time.Second)
	says("it stays ready", metav1.ConditionTrue, reasonInForce, true)

	o.Spec.Env[0].Value = "other"
	if err := c.Update(t.Context(), o); err != nil {
		t.Fatal(err)
	}

	says("a replica lacks the edit", metav1.ConditionFalse, reasonSpreading, false)
	p.lacks.Store(nil)
	says("all have the edit", metav1.ConditionTrue, reasonInForce, true)
}

// TestProgress compares the views of two replicas of a real API server. Each reaches
// what the other has seen as newest, also if it starts after a deletion; and the
// newest changes are those of objects, not of bookmarks.
func TestProgress(t *testing.T) {
	cp, c := withShop(t)
	first, _ := start(t, cp, logr.Discard())
	must := func(err error) {
		t.Helper()

		if err != nil {
			t.Fatal(err)
		}
	}
	reaches := func(what string, in, other *Injections) {
		t.Helper()
		harness.Eventually(t, what, func(context.Context) error {
			upTo, _ := in.Progress()
			_, newest := other.Progress()

			for kind, at := range newest {
				if isOlder(upTo[kind], at) || upTo[kind] == "" {
					return fmt.Errorf("%s is at %q, the other has %s", kind, upTo[kind], at)
				}
			}

			return nil
		})
	}
	tells := func(kind string, o client.Object) {
		t.Helper()
		harness.Eventually(t, kind+" "+o.GetName(), func(context.Context) error {
			upTo, newest := first.Progress()
			if newest[kind] != o.GetResourceVersion() || isOlder(upTo[kind], newest[kind]) {
				return fmt.Errorf("newest is %q up to %q, want %s", newest[kind], upTo[kind], o.GetResourceVersion())
			}

			return nil
		})
	}

	one, two := injection("one", 0, "A"), injection("two", 0, "A")
	cluster := &v1alpha1.ClusterInjection{ObjectMeta: metav1.ObjectMeta{Name: "ca"}}
	cluster.Spec.InjectionSpec = *injection("", 0, "B").Spec.DeepCopy()

	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "more"}}
	stop := configMap("default", "telltale-stop", "")

	must(errors.Join(c.Create(t.Context(), one), c.Create(t.Context(), two), c.Create(t.Context(), cluster), c.Create(t.Context(), ns), c.Create(t.Context(), stop)))
	tells(Injection, two)
	tells(ClusterInjection, cluster)
	tells(Namespace, ns)
	tells(Stop, stop)

	one.Spec.Env[0].Value = "other"
	must(c.Update(t.Context(), one))
	tells(Injection, one)

	_, before := first.Progress()
	must(errors.Join(c.Delete(t.Context(), one), c.Delete(t.Context(), stop), c.Delete(t.Context(), cluster)))
	harness.Eventually(t, "deletions are changes", func(context.Context) error {
		_, newest := first.Progress()
		for _, kind := range []string{Injection, ClusterInjection, Stop} {
			if !isOlder(before[kind], newest[kind]) {
				return fmt.Errorf("%s: %s after %s", kind, newest[kind], before[kind])
			}
		}

		return nil
	})

	second, _ := start(t, cp, logr.Discard())
	harness.Eventually(t, "the second is loaded", func(context.Context) error { return second.Check(nil) })
	reaches("the second has what the first has seen", second, first)
	reaches("and the other way around", first, second)
}
