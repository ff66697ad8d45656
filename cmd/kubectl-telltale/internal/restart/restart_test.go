package restart

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// TestLacks reads what a pod lacks from its record.
func TestLacks(t *testing.T) {
	in := &v1alpha1.Injection{Spec: v1alpha1.InjectionSpec{Selector: &metav1.LabelSelector{}, Labels: map[string]string{"a": "b"}}}
	in.Namespace, in.Name = "shop", "proxy"
	compiled := patches.Compile(in)
	matches := new(patches.Set).With(compiled).Match(nil, patches.Namespace{Name: "shop", Known: true})
	now := "proxy@" + compiled.Revision()

	cases := map[string]struct {
		reason           string
		injected, failed string
		want             map[string]string
	}{
		"Has":      {"It has the newest revision.", "cluster/other@00000000," + now, "", map[string]string{}},
		"Outdated": {"An edit came after the pod.", "proxy@00000000", "", map[string]string{"proxy": outdated}},
		"Old":      {"Records of old versions have no revision: it can't be told to be the newest.", "proxy", "", map[string]string{"proxy": outdated}},
		"Failed":   {"The record says why.", "", now + "=InjectionConflict", map[string]string{"proxy": "InjectionConflict"}},
		"All":      {"All Injections failed at once.", "", "*=InjectionOverload", map[string]string{"proxy": "InjectionOverload"}},
		"Missing":  {"There is no record.", "", "", map[string]string{"proxy": missing}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := lacks(map[string]string{v1alpha1.InjectedAnnotation: tc.injected, v1alpha1.FailedAnnotation: tc.failed}, matches)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n(-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestDone tells when a rollout is done, as kubectl rollout status does.
func TestDone(t *testing.T) {
	three := int32(3)
	deployment := func(observed int64, replicas, updated, available int32) *appsv1.Deployment {
		d := &appsv1.Deployment{
			Spec:   appsv1.DeploymentSpec{Replicas: &three},
			Status: appsv1.DeploymentStatus{ObservedGeneration: observed, Replicas: replicas, UpdatedReplicas: updated, AvailableReplicas: available},
		}
		d.Generation = 2

		return d
	}

	for name, tc := range map[string]struct {
		reason string
		d      *appsv1.Deployment
		want   bool
	}{
		"Done":        {"All are new and available.", deployment(2, 3, 3, 3), true},
		"NotSeen":     {"The controller has not seen the new template: its numbers are those of before.", deployment(1, 3, 3, 3), false},
		"SomeNew":     {"One is still to come.", deployment(2, 3, 2, 3), false},
		"OldLeft":     {"An old one still runs.", deployment(2, 4, 3, 3), false},
		"Unavailable": {"A new one is not ready.", deployment(2, 3, 3, 2), false},
	} {
		if done, text, err := deploymentDone(tc.d); done != tc.want || err != nil || text == "" {
			t.Errorf("%s: done is %v (%q, %v): %s", name, done, text, err, tc.reason)
		}
	}

	late := deployment(2, 3, 1, 1)
	late.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Reason: "ProgressDeadlineExceeded"}}

	if _, _, err := deploymentDone(late); err == nil {
		t.Error("a rollout that goes on no more is waited for")
	}

	set := &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Replicas: &three}}
	set.Status.UpdatedReplicas, set.Status.Replicas, set.Status.ReadyReplicas = 3, 3, 2

	if done, _ := statefulSetDone(set); done {
		t.Error("a StatefulSet is done with a pod that is not ready")
	}

	set.Status.ReadyReplicas = 3
	if done, _ := statefulSetDone(set); !done {
		t.Error("a StatefulSet with all new pods ready is not done")
	}

	daemons := &appsv1.DaemonSet{}
	daemons.Status.DesiredNumberScheduled, daemons.Status.UpdatedNumberScheduled, daemons.Status.NumberAvailable = 2, 2, 1

	if done, _ := daemonSetDone(daemons); done {
		t.Error("a DaemonSet is done with a pod that is not available")
	}
}

// TestCannotRestart names the owners that kubectl would not restart either.
func TestCannotRestart(t *testing.T) {
	for _, o := range []Owner{{APIVersion: "apps/v1", Kind: "Deployment"}, {APIVersion: "apps/v1", Kind: "StatefulSet"}, {APIVersion: "apps/v1", Kind: "DaemonSet"}} {
		if why := cannotRestart(&o); why != "" {
			t.Errorf("%s: %s", o.Kind, why)
		}
	}

	for _, o := range []Owner{{APIVersion: "v1", Kind: "Pod"}, {APIVersion: "batch/v1", Kind: "Job"}, {APIVersion: "argoproj.io/v1alpha1", Kind: "Rollout"}} {
		if cannotRestart(&o) == "" {
			t.Errorf("%s can't be restarted so", o.Kind)
		}
	}
}
