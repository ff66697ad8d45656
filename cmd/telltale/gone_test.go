//go:build apiserver

package main

import (
	"syscall"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/test/harness"
)

// TestReplicaGone ends one of two, and then kills it. Edits wait for a replica that was
// killed until its heartbeat is too old, and for one that has ended only until that is
// known.
func TestReplicaGone(t *testing.T) {
	e := startEdited(t, true)

	e.other.Signal(syscall.SIGTERM)
	<-e.other.Done()

	ended := e.editsAreReady(t, "the end")

	harness.Start(t, e.other)
	harness.WaitReady(t, e.other)
	e.other.Kill()

	if killed := e.editsAreReady(t, "the kill"); killed < ended+2*time.Second {
		t.Errorf("edits wait %v for a replica that has ended, and %v for one that was killed", ended, killed)
	}

	if e.pod(t.Context(), t) {
		t.Error("a pod has a failure")
	}
}

// editsAreReady makes three edits, and returns how long the first one took.
func (e *edited) editsAreReady(t *testing.T, after string) (first time.Duration) {
	t.Helper()

	start, before := time.Now(), e.ready.Load()
	for n := range int64(3) {
		if err := e.edit(t.Context(), before+n+1); err != nil {
			t.Fatal(err)
		}

		harness.Eventually(t, "the edit is ready", e.look)
		t.Logf("edit %d was ready %v after %s", n+1, time.Since(start), after)

		if n == 0 {
			first = time.Since(start)
		}
	}

	return first
}
