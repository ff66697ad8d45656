package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/telltale-dev/telltale/webhook"
	"github.com/telltale-dev/telltale/webhook/audit"
	"github.com/telltale-dev/telltale/webhook/audit/canary"
	"github.com/telltale-dev/telltale/webhook/audit/heal"
	"github.com/telltale-dev/telltale/webhook/audit/pods"
	"github.com/telltale-dev/telltale/webhook/freshness"
	"github.com/telltale-dev/telltale/webhook/injections"
	"github.com/telltale-dev/telltale/webhook/leader"
	"github.com/telltale-dev/telltale/webhook/report"
)

// leading is what one of many replicas must do, in parts that go on side by side.
type leading struct {
	m        manager.Manager
	o        options
	log      logr.Logger
	known    *injections.Injections
	reviews  reviews
	reporter *report.Reporter
	work     []func(context.Context)
}

// reviews are those that timed out in any replica.
type reviews struct {
	*audit.Unanswered
	*freshness.Freshness
}

// addLeader has one replica keep the status of Injections, look for pods that are
// refused, audit those that exist, check that Telltale is asked, and heal.
func addLeader(
	m manager.Manager, o options, log logr.Logger, known *injections.Injections, timedOut reviews, reporter *report.Reporter, c certificates,
) error {
	l := &leading{m: m, o: o, log: log, known: known, reviews: timedOut, reporter: reporter}

	bird, err := l.addCanary(c)
	if err != nil {
		return fmt.Errorf("cannot set up the canary: %w", err)
	}

	healer, err := l.addHealer(bird)
	if err != nil {
		return fmt.Errorf("cannot set up the healing of pods: %w", err)
	}

	if err := l.addAudit(healer); err != nil {
		return fmt.Errorf("cannot set up the audit: %w", err)
	}

	elected, err := leader.New(m.GetConfig(), leader.Options{
		Namespace: o.namespace, Name: leaseName, Registerer: metrics.Registry, Log: log.WithName("leader"), Fit: timedOut.Ready,
	}, l.work...)
	if err != nil {
		return fmt.Errorf("cannot set up the election of a leader: %w", err)
	}

	return m.Add(elected)
}

// addCanary returns nil if there is to be none.
func (l *leading) addCanary(c certificates) (*canary.Canary, error) {
	if l.o.canary == 0 {
		return nil, nil
	}

	bird, err := canary.New(l.m, canary.Options{
		Interval: l.o.canary, Namespace: l.o.namespace, Home: canaryNamespace, Lease: canaryName,
		Registration: l.o.configuration, Service: l.o.serviceName, Path: webhook.Path, Pod: os.Getenv("POD_NAME"),
		// Before that, the API server does not trust this process.
		Begin:      func() bool { return c.Check(nil) == nil },
		Registerer: metrics.Registry, Log: l.log.WithName("canary"),
	})
	if err != nil {
		return nil, err
	}

	l.work = append(l.work, bird.Keep)

	return bird, nil
}

// addHealer returns nil if no pods are to be healed.
func (l *leading) addHealer(bird *canary.Canary) (pods.Healer, error) {
	if len(l.o.heal) == 0 {
		return nil, nil
	}

	h, err := heal.New(l.m, l.known, heal.Options{
		Missed: slices.Contains(l.o.heal, healMissed), Stuck: slices.Contains(l.o.heal, healStuck),
		PerMinute: l.o.healPerMinute, Namespace: l.o.namespace, Lease: healName, Well: bird.Well,
		Tell: l.reporter.Tell, Log: l.log.WithName("heal"),
	})
	if err != nil {
		return nil, err
	}

	l.work = append(l.work, h.Keep)

	return h, nil
}

// addAudit adds the audits, and the status that they write to.
func (l *leading) addAudit(healer pods.Healer) error {
	log := l.log.WithName("audit")

	status, err := l.known.Status(l.m, l.o.namespace, l.o.audit)
	if err != nil {
		return err
	}

	refusals, err := audit.NewRefusals(l.m, l.known, status, l.reporter, log)
	if err != nil {
		return err
	}

	l.work = append(l.work, status.Keep, refusals.Keep)

	if !l.o.audit {
		return nil
	}

	existing, err := pods.New(l.m, l.known, l.reporter, status, refusals, pods.Options{
		Namespace: l.o.namespace, Lease: auditName, Registration: l.o.configuration, Stop: injections.StopName,
		StuckAfter: l.o.stuckAfter, WithdrawAfter: l.o.withdrawAfter, Healer: healer, Tell: l.reporter.Tell, Reviews: l.reviews,
		Registerer: metrics.Registry, Log: log,
	})
	if err != nil {
		return err
	}

	l.work = append(l.work, existing.Keep)

	return nil
}
