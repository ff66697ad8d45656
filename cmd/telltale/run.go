package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/telltale-dev/telltale/webhook"
	"github.com/telltale-dev/telltale/webhook/injections"
	"github.com/telltale-dev/telltale/webhook/report"
	"github.com/telltale-dev/telltale/webhook/server"
	"github.com/telltale-dev/telltale/webhook/serving"
)

// run wires the two pipes and runs them until ctx ends.
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

// wire returns a manager that serves the first pipe, with its end in a
// reporter.
func wire(cfg *rest.Config, o options, log logr.Logger, reporter webhook.Reporter) (manager.Manager, error) {
	certificates, err := newCertificates(cfg, o, log)
	if err != nil {
		return nil, err
	}

	https, err := newServer(o, certificates)
	if err != nil {
		return nil, err
	}

	m, err := newManager(cfg, o, log, https, metricsOptions(o, certificates))
	if err != nil {
		return nil, err
	}

	if err := metrics.Registry.Register(serving.Expiration(certificates.GetCertificate)); err != nil {
		return nil, fmt.Errorf("cannot register a metric: %w", err)
	}

	known := injections.New(log.WithName("injections"))
	m.GetWebhookServer().Register(webhook.Path, webhook.New(known, reporter, webhook.Options{
		MaxInFlight: o.maxInFlight,
		Registerer:  metrics.Registry,
		Gone:        server.Gone,
		Log:         log.WithName("webhook"),
	}))

	return m, errors.Join(
		certificates.SetupWithManager(m),
		known.Watch(m),
		addChecks(m, certificates, known),
	)
}

// runBoth starts the reporter before the manager and ends it after: the webhook
// server drains first, and what it reports meanwhile is still flushed.
func runBoth(ctx context.Context, m manager.Manager, reporter *report.Reporter) error {
	reportCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()

	reporting := make(chan error, 1)
	go func() { reporting <- reporter.Run(reportCtx) }()

	err := m.Start(ctx)

	stop()

	return errors.Join(err, <-reporting)
}
