package heal

import (
	"context"
	"testing"
	"time"

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

// TestNeverWorked spares pods that have worked: only what hung from its start is
// evicted though its app runs. A pod that is told of again is as old as at first.
func TestNeverWorked(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		age    time.Duration
		want   bool
	}{
		"FromTheStart": {"Its sidecar has crashed ever since.", time.Minute, true},
		"Later":        {"Its sidecar crashes after an hour that went well.", time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := &Healer{o: Options{Stuck: true}, patients: map[types.UID]patient{}}
			created := time.Now().Add(-tc.age)

			ails := func() {
				h.Ails("1", created, types.NamespacedName{}, failure.Failure{Reason: failure.Stuck, Owner: failure.Ref{Kind: "ReplicaSet"}})
			}
			ails()

			first := h.patients["1"].heard

			ails()

			if p := h.patients["1"]; p.neverWorked() != tc.want || !p.heard.Equal(first) {
				t.Errorf("%s got %v", tc.reason, p.neverWorked())
			}
		})
	}
}
