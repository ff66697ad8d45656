package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/telltale-dev/telltale/webhook/report"
)

// run connects the two pipes and runs them until ctx ends.
func run(ctx context.Context, o options) error {
	log := logr.FromContextOrDiscard(ctx)

	cfg, err := config.GetConfig()
	if err != nil {
		return fmt.Errorf("cannot tell which API server to talk to; set --kubeconfig or KUBECONFIG: %w", err)
	}

	reporter, err := report.New(cfg, report.Options{
		Registerer:    metrics.Registry,
		Log:           log.WithName("report"),
		QPS:           float32(o.eventQPS),
		MaxKeys:       o.maxEventKeys,
		HomeNamespace: o.namespace,
	})
	if err != nil {
		return fmt.Errorf("cannot set up the reporter: %w", err)
	}

	m, err := wire(cfg, o, log, reporter)
	if err != nil {
		return err
	}

	log.Info("starting", "version", version, "apiServer", cfg.Host, "dnsNames", o.dnsNames)

	return runBoth(ctx, m, reporter)
}

// runBoth starts the reporter before the manager and ends it after. The webhook
// server drains first, and failures that it reports meanwhile are still shown.
func runBoth(ctx context.Context, m manager.Manager, reporter *report.Reporter) error {
	reportCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()

	reporting := make(chan error, 1)
	go func() { reporting <- reporter.Run(reportCtx) }()

	err := m.Start(ctx)

	stop()

	return errors.Join(err, <-reporting)
}
