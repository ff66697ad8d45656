//go:build apiserver

package injections

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
)

// withShop is a control plane with our CRDs and the namespace shop.
func withShop(t *testing.T, flags ...string) (*controlplane.ControlPlane, client.WithWatch) {
	t.Helper()

	cp := harness.ControlPlane(t, controlplane.Options{NoControllerManager: true, APIServerFlags: flags})

	if _, err := envtest.InstallCRDs(cp.Config, envtest.CRDInstallOptions{Paths: []string{"../../config/crd/bases"}}); err != nil {
		t.Fatal(err)
	}

	c := clientFor(t, cp)
	if err := c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}); err != nil {
		t.Fatal(err)
	}

	return cp, c
}

// looks is how often Injections were looked at, since the program's start.
func looks(t *testing.T) (sum float64) {
	t.Helper()

	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}

	for _, f := range families {
		if f.GetName() == "controller_runtime_reconcile_total" {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}

	return sum
}

// TestWritesAreBounded starts a leader that finds many Injections without a
// status, and then another that finds nothing to write or to ask.
func TestWritesAreBounded(t *testing.T) {
	cases := map[string]struct {
		reason      string
		annotations map[string]string
		rate        int // a second
	}{
		"Written": {
			"What our own checks refuse is not asked about: the statuses are what is bounded.",
			map[string]string{corev1.MirrorPodAnnotationKey: "x"},
			writes,
		},
		"Asked": {"The API server is asked about each.", nil, questions},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cp, c := withShop(t)
			many := 3 * tc.rate
			before := looks(t)
			looked := func(times int) func(context.Context) error {
				return func(context.Context) error {
					if n := looks(t) - before; n < float64(times) {
						return fmt.Errorf("%v looks, want %v", n, times)
					}

					return nil
				}
			}

			for i := range many {
				o := injection(fmt.Sprint("proxy-", i), 0, "A")
				o.Spec.Annotations = tc.annotations

				if err := c.Create(t.Context(), o); err != nil {
					t.Fatal(err)
				}
			}

			_, stop := start(t, cp, logr.Discard(), keeping(t))
			took, versions := written(t, c, many)
			t.Logf("%d in %v", many, took)

			if least := time.Duration(many-tc.rate) * time.Second / time.Duration(tc.rate); took < least {
				t.Errorf("%s more than %d a second", tc.reason, tc.rate)
			}

			harness.Eventually(t, "looks, at their own writes as well", looked(2*many))
			stop()

			start(t, cp, logr.Discard(), keeping(t))
			harness.Eventually(t, "looks of the next leader", looked(3*many))

			var all v1alpha1.InjectionList
			if err := c.List(t.Context(), &all); err != nil {
				t.Fatal(err)
			}

			for _, o := range all.Items {
				if versions[o.Name] != o.ResourceVersion {
					t.Errorf("%s was written again", o.Name)
				}

				if asked := o.Status.ServerCheck != nil; asked != (tc.annotations == nil) {
					t.Errorf("%s was asked about: %t", o.Name, asked)
				}
			}
		})
	}
}

// written waits until many Injections have a status. It returns how long that
// took, from the first to the last, and their resourceVersions then.
func written(t *testing.T, c client.WithWatch, many int) (took time.Duration, versions map[string]string) {
	t.Helper()

	changes, err := c.Watch(t.Context(), &v1alpha1.InjectionList{}, client.InNamespace("shop"))
	if err != nil {
		t.Fatal(err)
	}
	defer changes.Stop()

	var first time.Time

	versions = map[string]string{}
	for len(versions) < many {
		o, ok := (<-changes.ResultChan()).Object.(*v1alpha1.Injection)
		if !ok {
			t.Fatal("the watch ended")
		}

		if len(o.Status.Conditions) == 0 {
			continue // as it was made
		}

		if first.IsZero() {
			first = time.Now()
		}

		versions[o.Name] = o.ResourceVersion
	}

	return time.Since(first), versions
}

// TestStatusOfEarlierVersion finds what earlier versions wrote, by merge patches
// under the program's name: no condition is there twice or out of date, now or
// after an edit, and what others say is left alone.
func TestStatusOfEarlierVersion(t *testing.T) {
	cp, c := withShop(t)

	for name, condition := range map[string]metav1.Condition{
		"was-good": {Type: "Ready", Status: "True", Reason: "InForce", Message: "Pods that are created from now on get it."},
		"was-bad":  {Type: "Ready", Status: "False", Reason: "InjectionInvalid", Message: "spec.env[0]: old text"},
	} {
		o := injection(name, 0, "A")
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}

		condition.LastTransitionTime, condition.ObservedGeneration = metav1.NewTime(time.Now().Add(-time.Hour)), 1
		theirs := condition
		theirs.Type = "Theirs"
		merge := func(manager string, conditions ...metav1.Condition) {
			t.Helper()

			patch, err := json.Marshal(map[string]any{"status": v1alpha1.InjectionStatus{ObservedGeneration: 1, Conditions: conditions}})
			if err == nil {
				err = c.Status().Patch(t.Context(), o, client.RawPatch("application/merge-patch+json", patch), client.FieldOwner(manager))
			}

			if err != nil {
				t.Fatal(err)
			}
		}
		merge("telltale", condition)
		merge("somebody", condition, theirs)
	}

	start(t, cp, logr.Discard(), keeping(t))

	has := func(name, wantReady, wantStalled string) {
		t.Helper()
		harness.Eventually(t, name, func(ctx context.Context) error {
			o := &v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
			if err := c.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
				return err
			}

			got := map[string]string{"Stalled": ""}
			for _, condition := range o.Status.Conditions {
				got[condition.Type] += string(condition.Status) // twice would be TrueTrue
			}

			delete(got, "Theirs")

			if diff := cmp.Diff(map[string]string{"Ready": wantReady, "Stalled": wantStalled}, got); diff != "" {
				return fmt.Errorf("-want +got\n%s", diff)
			}

			ready := meta.FindStatusCondition(o.Status.Conditions, "Ready")
			if o.Status.Revision == "" || o.Status.ObservedGeneration != o.Generation || ready.ObservedGeneration != o.Generation {
				return fmt.Errorf("generation %d has %+v", o.Generation, o.Status)
			}

			if meta.FindStatusCondition(o.Status.Conditions, "Theirs") == nil {
				return fmt.Errorf("the condition of another is gone")
			}

			if moved := time.Since(ready.LastTransitionTime.Time) < time.Hour; moved == (name == "was-good" && o.Generation == 1) {
				return fmt.Errorf("it is so since %v", ready.LastTransitionTime)
			}

			return nil
		})
	}
	edit := func(name, patch string) {
		t.Helper()

		o := &v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
		if err := c.Patch(t.Context(), o, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
			t.Fatal(err)
		}
	}

	has("was-good", "True", "")
	has("was-bad", "True", "")

	// The CRD's rules let this pass, and no pod can have it.
	for _, name := range []string{"was-good", "was-bad"} {
		edit(name, `{"spec": {"annotations": {"kubernetes.io/config.mirror": "x"}}}`)
		has(name, "False", "True")
		edit(name, `{"spec": {"annotations": null}}`)
		has(name, "True", "")
	}
}

// TestServerRefuses declares what this API server's flags forbid, and our own
// checks do not know: the Injection says so, with the server's text, and is in
// force once it is corrected.
func TestServerRefuses(t *testing.T) {
	cp, c := withShop(t, "--allow-privileged=false")
	in, _ := start(t, cp, logr.Discard(), keeping(t))

	o := injection("proxy", 0, "A")
	o.Spec.InitContainers = []corev1.Container{{Name: "setup", Image: "i", SecurityContext: &corev1.SecurityContext{Privileged: new(true)}}}

	if err := c.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}

	says := func(want map[string]string) {
		t.Helper()
		harness.Eventually(t, "the status", func(ctx context.Context) error {
			if err := c.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
				return err
			}

			compiled := in.compiled(o)
			if compiled == nil {
				return errors.New("the set lacks it")
			}

			got := map[string]string{"in the set": fmt.Sprint(compiled.Err())}
			for _, condition := range o.Status.Conditions {
				got[condition.Type] = string(condition.Status) + " " + condition.Reason + ": " + condition.Message
			}

			if diff := cmp.Diff(want, got); diff != "" {
				return fmt.Errorf("-want +got\n%s", diff)
			}

			return nil
		})
	}

	const text = "spec.initContainers[0].securityContext.privileged: disallowed by cluster policy"
	says(map[string]string{"Ready": "False InjectionInvalid: " + text, "Stalled": "True InjectionInvalid: " + text, "in the set": text})

	o.Spec.InitContainers[0].SecurityContext = nil
	if err := c.Update(t.Context(), o); err != nil {
		t.Fatal(err)
	}

	says(map[string]string{
		"Ready": "True InForce: Pods that are created from now on get it. " +
			`Guaranteed pods become Burstable: init container "setup" needs limits for cpu and memory, and equal requests.`,
		"in the set": "<nil>",
	})
}
