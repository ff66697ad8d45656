package heal

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// TestTermEnds ends the time as the leader: no pod of it is known the next time.
func TestTermEnds(t *testing.T) {
	h := &Healer{o: Options{Missed: true}, patients: map[types.UID]patient{}}
	h.Ails("1", time.Now(), types.NamespacedName{Name: "proxy"}, failure.Failure{Reason: failure.Missed, Owner: failure.Ref{Kind: "ReplicaSet"}})

	if len(h.patients) != 1 {
		t.Fatal("it did not hear of the pod")
	}

	ctx, end := context.WithCancel(t.Context())
	end()
	h.Keep(ctx)

	if len(h.patients) > 0 {
		t.Errorf("it still has %d pods", len(h.patients))
	}
}

// TestHasStarted spares pods that have worked: an Injection keeps only those from
// starting that never did.
func TestHasStarted(t *testing.T) {
	start := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}

	for name, tc := range map[string]struct {
		reason string
		app    corev1.ContainerState
		ready  corev1.ConditionStatus
		since  time.Duration // of the start
		want   bool
	}{
		"Initializing": {"Its init container fails.", waiting, corev1.ConditionFalse, 0, false},
		"Sidecar":      {"Its sidecar crashes, and the app runs beside it.", running, corev1.ConditionFalse, time.Second, false},
		"Moment":       {"It was ready until the sidecar crashed for the first time.", running, corev1.ConditionFalse, 5 * time.Second, false},
		"Ready":        {"It has recovered just now.", running, corev1.ConditionTrue, time.Second, true},
		"Later":        {"Its sidecar crashes after an hour that went well.", running, corev1.ConditionFalse, time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := &corev1.Pod{Status: corev1.PodStatus{
				StartTime:         &metav1.Time{Time: start},
				Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: tc.ready, LastTransitionTime: metav1.NewTime(start.Add(tc.since))}},
				ContainerStatuses: []corev1.ContainerStatus{{Name: "app", State: tc.app}},
			}}

			if got := hasStarted(p); got != tc.want {
				t.Errorf("%s got %v", tc.reason, got)
			}
		})
	}
}
