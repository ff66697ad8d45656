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
