//go:build apiserver

package stress

import (
	"bytes"
	"context"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/test/child"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// replica is a Telltale with a measurement of its memory.
type replica struct {
	*telltale.Replica

	up   atomic.Bool // may be sent reviews, as an endpoint of a Service may
	peak int64       // bytes, of all its processes so far
}

func newReplica(t *testing.T, dir string, config *rest.Config, flags ...string) *replica {
	t.Helper()
	flags = append([]string{"--audit=false"}, flags...) // the pods are created without Telltale, and reviewed beside that
	r := &replica{Replica: harness.Replica(t, telltale.Options{Program: program, Config: config, Dir: dir, Flags: flags})}
	t.Cleanup(r.end)

	return r
}

// start starts a process and waits until it is ready.
func (r *replica) start(t *testing.T) {
	t.Helper()
	r.up.Store(false)
	harness.Start(t, r.Replica)
	harness.WaitReady(t, r.Replica)
	r.up.Store(true)
}

// terminate asks the process to end, and waits. It must exit with 0, and within the
// grace period. It returns how long that took.
func (r *replica) terminate(t *testing.T, grace time.Duration) time.Duration {
	t.Helper()
	start := time.Now()
	r.measure()
	r.Signal(syscall.SIGTERM)
	select {
	case <-r.Done():
	case <-time.After(grace):
		t.Errorf("did not end within %v", grace)
	}
	took := time.Since(start)
	r.end()
	if state := r.State(); !state.Success() {
		t.Errorf("ended with %v, want exit code 0", state)
	}

	return took
}

// kill ends the process at once.
func (r *replica) kill() {
	r.measure()
	r.Kill()
}

// end ends the process, if it runs.
func (r *replica) end() {
	if r.Process == nil || r.State() != nil {
		return
	}
	r.measure()
	r.Stop(30 * time.Second)
}

// measure notes the most memory that the process ever had, where the system tells it.
func (r *replica) measure() {
	if m, err := child.MemoryOf(r.PID()); err == nil {
		r.peak = max(r.peak, m.Peak)
	}
}

// says tells how many lines of the log have a text.
func (r *replica) says(t *testing.T, text string) (n int) {
	t.Helper()
	log, err := os.ReadFile(r.Log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(log) {
		if bytes.Contains(line, []byte(text)) {
			n++
		}
	}

	return n
}

// metric is Metric for counts.
func (r *replica) metric(ctx context.Context, name string, label ...string) (int64, error) {
	n, err := r.Metric(ctx, name, label...)

	return int64(n), err
}
