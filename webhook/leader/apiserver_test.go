//go:build apiserver

package leader

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
)

// candidate is a Leader that runs.
type candidate struct {
	*Leader

	name  string
	stop  func()
	ended chan error
	unfit atomic.Bool
}

// run starts a candidate. How many do the work at once is counted in working.
func run(t *testing.T, cp *controlplane.ControlPlane, name string, working *atomic.Int32) *candidate {
	t.Helper()

	registry := prometheus.NewRegistry()
	ctx, stop := context.WithCancel(t.Context())
	c := &candidate{name: name, stop: stop, ended: make(chan error, 1)}

	l, err := New(cp.Config, Options{
		Namespace: "default", Name: "telltale", Identity: name, Registerer: registry, Log: logr.Discard(),
		Fit: func() bool { return !c.unfit.Load() },
	}, func(ctx context.Context) {
		if n := working.Add(1); n != 1 {
			t.Errorf("%d work at once", n)
		}

		if n := metric(registry); n != 1 {
			t.Errorf("the metric of the leader is %v", n)
		}

		<-ctx.Done()
		working.Add(-1)
	})
	if err != nil {
		t.Fatal(err)
	}

	c.Leader = l

	go func() { c.ended <- l.Start(ctx) }()

	return c
}

// metric is the value of the one metric of a registry.
func metric(registry *prometheus.Registry) float64 {
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "telltale_leader" {
		return -1
	}

	return families[0].GetMetric()[0].GetGauge().GetValue()
}

// one is a condition: this candidate leads, and no other.
func one(leads *candidate, others ...*candidate) func(context.Context) error {
	return func(context.Context) error {
		if !leads.Leads() {
			return fmt.Errorf("%s does not lead", leads.name)
		}

		for _, c := range others {
			if c.Leads() {
				return fmt.Errorf("%s leads as well", c.name)
			}
		}

		return nil
	}
}

// TestHandOver ends the leader: the other leads well before the Lease runs out,
// since it was given up.
func TestHandOver(t *testing.T) {
	cp := harness.ControlPlane(t, controlplane.Options{NoControllerManager: true})

	var working atomic.Int32

	first := run(t, cp, "first", &working)
	harness.Eventually(t, "a leader", one(first))

	second := run(t, cp, "second", &working)

	first.stop()

	if err := <-first.ended; err != nil || first.Leads() {
		t.Errorf("ended with %v, leads: %t", err, first.Leads())
	}

	harness.Within(t, leaseDuration-2*time.Second, "the next leader", one(second, first))
	second.stop()

	if err := <-second.ended; err != nil || working.Load() != 0 {
		t.Errorf("ended with %v, %d still work", err, working.Load())
	}
}

// TestUnfit has the leader find that it must not lead: the other leads well before
// the Lease runs out. Once no other does, it leads again, if it is fit.
func TestUnfit(t *testing.T) {
	cp := harness.ControlPlane(t, controlplane.Options{NoControllerManager: true})

	var working atomic.Int32

	first := run(t, cp, "first", &working)
	harness.Eventually(t, "a leader", one(first))

	second := run(t, cp, "second", &working)

	first.unfit.Store(true)
	harness.Within(t, leaseDuration-2*time.Second, "the next leader", one(second, first))

	second.unfit.Store(true)
	harness.Within(t, leaseDuration, "none leads", func(context.Context) error {
		if first.Leads() || second.Leads() {
			return errors.New("one leads")
		}

		return nil
	})

	first.unfit.Store(false)
	harness.Eventually(t, "the first leads again", one(first, second))

	for _, c := range []*candidate{first, second} {
		c.stop()

		if err := <-c.ended; err != nil {
			t.Error(err)
		}
	}
}

// TestOutage takes the API server away for longer than the Lease lasts, with its
// connections open and hanging, and then with none: the leader ends its work in
// time, lives on, and one leads again.
func TestOutage(t *testing.T) {
	cp := harness.ControlPlane(t, controlplane.Options{NoControllerManager: true})

	var working atomic.Int32

	first := run(t, cp, "first", &working)
	harness.Eventually(t, "a leader", one(first))

	second := run(t, cp, "second", &working)
	idle := func(context.Context) error {
		if n := working.Load(); n != 0 || first.Leads() || second.Leads() {
			return fmt.Errorf("%d work", n)
		}

		return nil
	}
	back := func(context.Context) error {
		if first.Leads() == second.Leads() || working.Load() != 1 {
			return errors.New("not one leads")
		}

		return nil
	}

	cp.PauseAPIServer()
	harness.Within(t, leaseDuration, "the end of the work", idle)
	cp.ResumeAPIServer()
	harness.Eventually(t, "a leader again", back)

	cp.StopAPIServer()
	harness.Within(t, leaseDuration, "the end of the work", idle)

	if err := cp.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}

	harness.Eventually(t, "a leader again", back)

	for _, c := range []*candidate{first, second} {
		c.stop()

		select {
		case err := <-c.ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(harness.Patience):
			t.Fatalf("%s does not end", c.name)
		}
	}
}
