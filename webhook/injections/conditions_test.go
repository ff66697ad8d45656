package injections

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// brief is a condition in a line.
func brief(conditions []metav1.Condition) (lines []string) {
	for _, c := range conditions {
		lines = append(lines, c.Type+"="+string(c.Status)+" "+c.Reason+": "+c.Message)
	}

	return lines
}

// TestConditions follows one object through edits. A condition that is said again
// keeps the time of its last transition.
func TestConditions(t *testing.T) {
	const (
		good = "Ready=True InForce: Pods that are created from now on get it."
		bad  = `Ready=False InjectionInvalid: spec.env[1]: "A" is there twice`

		stalled = `Stalled=True InjectionInvalid: spec.env[1]: "A" is there twice`
		stopped = "Ready=False Stopped: why"
	)

	long := metav1.NewTime(time.Now().Add(-time.Hour))
	status := v1alpha1.InjectionStatus{Conditions: []metav1.Condition{{Type: "Theirs", Status: metav1.ConditionTrue, LastTransitionTime: long}}}

	steps := []struct {
		reason  string
		env     []string
		stopped string
		want    []string
		same    bool // nothing is to be written
	}{
		{"New: in force, whatever others say of it.", []string{"A"}, "", []string{"Theirs=True : ", good}, false},
		{"Looked at again.", []string{"A"}, "", []string{"Theirs=True : ", good}, true},
		{"It can't be used: kstatus sees a failure, not progress.", []string{"A", "A"}, "", []string{"Theirs=True : ", bad, stalled}, false},
		{"Stopped as well: it is to be edited all the same.", []string{"A", "A"}, "why", []string{"Theirs=True : ", stopped, stalled}, false},
		{"Corrected: Stalled is gone, not False.", []string{"B"}, "why", []string{"Theirs=True : ", stopped}, false},
		{"Looked at again: still stopped, since when it was.", []string{"B"}, "why", []string{"Theirs=True : ", stopped}, true},
		{"It goes on.", []string{"B"}, "", []string{"Theirs=True : ", good}, false},
	}

	for i, s := range steps {
		compiled := patches.Compile(injection("proxy", int64(i+1), s.env...))
		if s.same {
			compiled.Generation--
		}

		var against obstacle
		if s.stopped != "" {
			against = obstacle{reasonStopped, s.stopped}
		}

		next := statusWith(t.Context(), &status, compiled, nil, patches.Namespace{}, against)
		if got := cmp.Equal(next, status); got != s.same {
			t.Errorf("%s the same: %t", s.reason, got)
		}

		for _, c := range ours(next.Conditions) {
			if c.ObservedGeneration != compiled.Generation || c.LastTransitionTime.IsZero() {
				t.Errorf("%s %s is of generation %d", s.reason, c.Type, c.ObservedGeneration)
			}
		}

		if next.ObservedGeneration != compiled.Generation || next.Revision != compiled.Revision() || !next.Conditions[0].LastTransitionTime.Equal(&long) {
			t.Errorf("%s got %+v", s.reason, next)
		}

		status = next

		if diff := cmp.Diff(s.want, brief(status.Conditions)); diff != "" {
			t.Errorf("%s -want +got\n%s", s.reason, diff)
		}
	}
}

// TestEditsFirst has an edit looked at before the thousands that a new leader
// finds, and before its own writes.
func TestEditsFirst(t *testing.T) {
	queue := priorityqueue.New("test", func(o *priorityqueue.Opts[reconcile.Request]) {
		o.RateLimiter = workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]()
	})
	defer queue.ShutDown()

	on := intoQueue(queue)
	on.OnAdd(injection("found", 1, "A"), true)
	on.OnUpdate(injection("written", 1, "A"), injection("written", 1, "A"))
	on.OnUpdate(injection("edited", 1, "A"), injection("edited", 2, "A"))
	on.OnAdd(injection("made", 1, "A"), false)

	var order []string

	for range 4 {
		r, _ := queue.Get()
		order = append(order, r.Name)
		queue.Done(r)
	}

	if diff := cmp.Diff([]string{"edited", "made", "found", "written"}, order); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestReadiness has Ready say more than a schema can: that no pod of a namespace
// can take an Injection, and that pods change their QoS class with it.
func TestReadiness(t *testing.T) {
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "q"}, Status: corev1.ResourceQuotaStatus{
		Hard: corev1.ResourceList{corev1.ResourceLimitsCPU: resource.MustParse("1")},
	}}
	some := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1m"), corev1.ResourceMemory: resource.MustParse("1Mi")}
	cases := map[string]struct {
		reason    string
		resources corev1.ResourceRequirements
		ns        patches.Namespace
		status    metav1.ConditionStatus
		says      string
	}{
		"Guaranteed": {"Limits are requests, too.", corev1.ResourceRequirements{Limits: some}, patches.Namespace{}, metav1.ConditionTrue, "Pods that are created from now on get it."},
		"Burstable": {
			"A pod is Guaranteed only if all its containers are.",
			corev1.ResourceRequirements{},
			patches.Namespace{},
			metav1.ConditionTrue,
			`Guaranteed pods become Burstable: init container "wait" needs limits`,
		},
		"Impossible": {
			"The quota refuses each pod with it.",
			corev1.ResourceRequirements{},
			patches.Namespace{Name: "shop", Known: true, Quotas: []*corev1.ResourceQuota{quota}},
			metav1.ConditionFalse, `No pod of the namespace can take it: ResourceQuota "q" wants limits.cpu for init container "wait"`,
		},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := injection("proxy", 1)
			o.Spec.InitContainers = []corev1.Container{{Name: "wait", Image: "w", Resources: c.resources}}

			got := readiness(t.Context(), patches.Compile(o), c.ns)
			if got.Status != c.status || !strings.Contains(got.Message, c.says) {
				t.Errorf("%s got %+v", c.reason, got)
			}
		})
	}
}
