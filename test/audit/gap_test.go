//go:build audit

package audit

import (
	"fmt"
	"testing"
	"time"
)

// TestGap stops all replicas while controllers create many pods. All are shown soon
// after the return, and none twice, though a leader is killed, and all are restarted.
func TestGap(t *testing.T) {
	const deployments, pods = 100, 10

	r := begin(t, fmt.Sprintf("all replicas killed, %d pods of %d Deployments created meanwhile", deployments*pods, deployments),
		"exact for each owner ≤ 30 s after the start; the same after a leader is killed, and after all are restarted")
	c := newCluster(t, fastControllers(), 100, 2)
	c.namespace(t, "shop", nil)
	c.start(t)
	c.audits(t)
	c.inject(t, injection("shop", "all", ""))
	c.inForce(t)
	c.ready(t)
	c.deploy(t, "shop", "before", 10, 2)

	c.kill()
	c.deploy(t, "shop", "gap", deployments, pods)
	want, err := c.bare(t.Context(), "shop")
	if err != nil || sum(want) != deployments*pods {
		t.Fatalf("%d pods have no Injection (%v), want %d", sum(want), err, deployments*pods)
	}

	begun := time.Now()
	c.start(t)
	c.tells(t, want)
	took := time.Since(begun)
	r.note("%d shown %.0f s after the start, 15 s of which is the Lease of the leader that was killed", sum(want), took.Seconds())
	if took > promised {
		t.Errorf("it took %v", took)
	}
	c.counts(t, "shop")

	leader := c.audits(t)
	leader.Kill()
	c.audits(t)
	c.counts(t, "shop")
	c.tells(t, want)

	c.kill()
	c.start(t)
	c.audits(t)
	c.counts(t, "shop")
	c.pass(t, thought)
	c.tells(t, want)
	r.note("%d after a leader was killed, and after all were", sum(want))
}

// thought is longer than a leader thinks over what it has found.
const thought = 15 * time.Second

// pass lets some time pass, in which nothing may happen.
func (c *cluster) pass(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
