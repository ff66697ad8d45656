package injections

import (
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/objects"
)

// TestRequiredIsLookedFor requires an object that is not known yet: the Injection is
// not Ready, a pod is no match for it, and waits only if its namespace is young.
func TestRequiredIsLookedFor(t *testing.T) {
	o, err := objects.New(&rest.Config{Host: "localhost"}, objects.Options{}) // it is not started
	if err != nil {
		t.Fatal(err)
	}

	in := New(logr.Discard())
	in.Require(o)
	in.first = nil
	close(in.loaded)

	for name, age := range map[string]time.Duration{"shop": time.Hour, "born": time.Second} {
		in.onNamespace().OnAdd(&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Name: name, CreationTimestamp: metav1.NewTime(time.Now().Add(-age)),
		}}, true)
	}

	all := &v1alpha1.ClusterInjection{ObjectMeta: metav1.ObjectMeta{Name: "ca", Generation: 1}}
	all.Spec.InjectionSpec = v1alpha1.InjectionSpec{
		Selector: &metav1.LabelSelector{}, Env: []v1alpha1.EnvVar{{Name: "A", Value: "x"}},
		Requires: []v1alpha1.Requirement{{Kind: v1alpha1.RequiredConfigMap, Name: "corp-ca"}, {Kind: v1alpha1.RequiredSecret, Name: "token"}},
	}

	if in.Await(patches.Traits{}, "born") != nil {
		t.Error("a pod waits, and nothing is required")
	}

	in.onClusterInjection().OnAdd(all, false)

	compiled := in.Get("", "ca")
	if got := in.loading(compiled); got.reason != reasonLoading || got.text != `ConfigMap "corp-ca" is looked for.` {
		t.Errorf("got %+v", got)
	}

	status := v1alpha1.InjectionStatus{Conditions: []metav1.Condition{{Type: v1alpha1.ReadyCondition, Status: metav1.ConditionTrue, Message: "Fine."}}}
	in.warn(&status, compiled)

	if want := `Fine. Secret "token" counts as there: Telltale may not look at Secrets. The component config/components/secrets lets it.`; status.Conditions[0].Message != want {
		t.Errorf("Ready says %q, want %q", status.Conditions[0].Message, want)
	}

	status.Conditions[0] = metav1.Condition{Type: v1alpha1.ReadyCondition, Status: metav1.ConditionFalse, Reason: reasonPreview, Message: "It looks."}
	in.warn(&status, compiled)

	if got := status.Conditions[0].Message; !strings.Contains(got, `Secret "token" counts as there`) {
		t.Errorf("of one that only looks, Ready says %q: kubectl telltale explain reads there what is looked at", got)
	}

	for namespace, waits := range map[string]bool{"shop": false, "born": true, "unheard-of": true} {
		if got := in.Await(patches.Traits{}, namespace) != nil; got != waits {
			t.Errorf("a pod of %s waits: %t, want %t", namespace, got, waits)
		}
	}

	matches, err := in.Match(patches.Traits{}, "shop")
	if err != nil || len(matches) != 1 {
		t.Fatal(matches, err)
	}

	pod, err := patches.Decode([]byte(`{"metadata": {}, "spec": {"containers": [{"name": "app"}]}}`))
	if err != nil {
		t.Fatal(err)
	}

	if r := patches.New(t.Context(), pod, matches); len(r.Failed) != 1 || r.Failed[0].Reason != patches.NotLoaded {
		t.Errorf("failed %+v, injected %v", r.Failed, r.Injected)
	}

	unusable := all.DeepCopy()
	unusable.Name, unusable.Spec.Env[0].Name = "unusable", ""

	in.remove("", "ca")

	if !o.IsEmpty() {
		t.Error("a deleted Injection requires something")
	}

	if r := patches.New(t.Context(), pod, matches); len(r.Failed) != 1 || r.Failed[0].Reason != patches.NotLoaded {
		t.Errorf("a review that began before the Injection went has failed %+v, injected %v", r.Failed, r.Injected)
	}

	in.onClusterInjection().OnAdd(unusable, false)

	if in.Await(patches.Traits{}, "born") != nil {
		t.Error("a pod waits for an Injection that it can't get")
	}

	in.remove("", "unusable")

	all.Spec.Mode, all.Generation = v1alpha1.Paused, 2
	in.onClusterInjection().OnAdd(all, false)

	if !o.IsEmpty() {
		t.Error("a paused Injection requires something")
	}
}
