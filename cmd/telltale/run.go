package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/telltale-dev/telltale/webhook/injections"
	"github.com/telltale-dev/telltale/webhook/report"
)

// run connects the two pipes and runs them until ctx ends.
func run(ctx context.Context, o options) error {
	log := logr.FromContextOrDiscard(ctx)

	cfg, err := config.GetConfig()
	if err != nil {
		return fmt.Errorf("cannot tell which API server to talk to; set --kubeconfig or KUBECONFIG: %w", err)
	}

	cfg.Wrap(limitCalls)

	known := injections.New(log.WithName("injections"))

	reporter, err := report.New(cfg, report.Options{ //nolint:contextcheck // it makes no call
		Registerer:    metrics.Registry,
		Log:           log.WithName("report"),
		QPS:           float32(o.eventQPS),
		MaxKeys:       o.maxEventKeys,
		MaxNamespaces: o.maxNamespaces,
		Exists:        known.HasNamespace,
		HomeNamespace: o.namespace,
		Records:       report.Records{Version: version, Instance: os.Getenv("POD_NAME"), Cluster: o.clusterName},
	})
	if err != nil {
		return fmt.Errorf("cannot set up the reporter: %w", err)
	}

	p, err := wire(cfg, o, log, known, reporter)
	if err != nil {
		return err
	}

	log.Info("starting", "version", version, "apiServer", cfg.Host, "dnsNames", o.dnsNames)

	return p.run(ctx, reporter)
}

// run starts each part before those that report to it, and ends it after them.
// The webhook server drains first: meanwhile the manager keeps its view of the
// Injections up to date (TestEndsWithView), and failures are still shown.
func (p parts) run(ctx context.Context, reporter *report.Reporter) error {
	endReporter := inBackground(ctx, reporter.Run)
	endTrials := inBackground(ctx, p.trials.Run)

	managed, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		p.server.Drain()
		stop()
	})()

	err := p.manager.Start(managed)
	if err == nil { // the server has drained, and nothing goes on
		p.replicas.Leave(context.WithoutCancel(ctx))
	}

	return errors.Join(err, endTrials(), endReporter())
}

// inBackground starts a function. It goes on after ctx has ended, until end is
// called, which returns when the function has.
func inBackground(ctx context.Context, run func(context.Context) error) (end func() error) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))

	done := make(chan error, 1)
	go func() { done <- run(ctx) }()

	return func() error {
		stop()

		return <-done
	}
}
