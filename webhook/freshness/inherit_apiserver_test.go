//go:build apiserver

package freshness

import (
	"context"
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/webhook/audit"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// TestInherit kills the process of a replica when it has told of a review, and starts it
// again under the same name. The new one knows of the review, and still tells of it.
func TestInherit(t *testing.T) {
	cp := harness.ControlPlane(t, controlplane.Options{NoControllerManager: true})
	proxy, loaded := failure.Injection{Name: "proxy"}, make(chan struct{})
	close(loaded)

	start := func(notices *audit.Unanswered) *Freshness {
		t.Helper()

		f, err := New(cp.Config, Options{
			Namespace: "default", Name: "telltale-replicas", Identity: "telltale-0", Loaded: loaded,
			View: func() View { return View{} }, Notices: notices,
		})
		if err != nil {
			t.Fatal(err)
		}

		return f
	}
	run := func(f *Freshness, what string, until func() bool) {
		t.Helper()

		ctx, kill := context.WithCancel(t.Context())
		ended := make(chan error, 1)

		go func() { ended <- f.Start(ctx) }()

		harness.Eventually(t, what, func(context.Context) error {
			if !until() {
				return errors.New("not yet")
			}

			return nil
		})
		kill()

		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}

	told := false
	before := audit.NewUnanswered(reports(func(failure.Failure) { told = true }))
	f := start(before)
	before.Report(failure.Failure{Reason: failure.Timeout, Trace: "1", Injection: proxy})
	run(f, "the first process tells", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()

		return told
	})

	after := audit.NewUnanswered(reports(func(failure.Failure) { t.Error("the new process had no review") }))
	f = start(after)
	run(f, "the new process compares", f.Ready)

	if !after.Has("1", proxy, types.UID("pod")) {
		t.Error("the new process does not know of the review")
	}

	if n := len(f.lease.last(t.Context()).Notices); n != 1 {
		t.Errorf("its heartbeat has %d notices, want that of the process before", n)
	}
}
