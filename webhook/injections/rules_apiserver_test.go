//go:build apiserver

package injections

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/test/harness"
)

// TestReadyFollowsRules makes a quota that no pod with the Injection can pass, and
// takes it away: Ready says so each time, without an edit of the Injection.
func TestReadyFollowsRules(t *testing.T) {
	cp, c := withShop(t)
	_, _ = start(t, cp, logr.Discard(), keeping(t))

	o := injection("proxy", 0, "A")
	o.Spec.InitContainers = []corev1.Container{{Name: "setup", Image: "i"}}

	must := func(err error) {
		t.Helper()

		if err != nil {
			t.Fatal(err)
		}
	}

	says := func(want string) {
		t.Helper()
		harness.Eventually(t, "Ready", func(ctx context.Context) error {
			if err := c.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
				return err
			}

			ready := meta.FindStatusCondition(o.Status.Conditions, v1alpha1.ReadyCondition)
			if ready == nil || !strings.Contains(string(ready.Status)+" "+ready.Reason+": "+ready.Message, want) {
				return fmt.Errorf("got %+v", ready)
			}

			return nil
		})
	}

	must(c.Create(t.Context(), o))
	says("True InForce: ")

	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "compute"}}
	quota.Spec.Hard = corev1.ResourceList{corev1.ResourceLimitsCPU: resource.MustParse("10")}
	must(c.Create(t.Context(), quota))

	quota.Status.Hard = quota.Spec.Hard // no controller runs here
	must(c.Status().Update(t.Context(), quota))
	says(`False InjectionForbidden: No pod of the namespace can take it: ResourceQuota "compute" wants limits.cpu for init container "setup"`)

	must(c.Delete(t.Context(), quota))
	says("True InForce: ")
}
