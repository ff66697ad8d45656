package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook"
	"github.com/telltale-dev/telltale/webhook/audit"
	"github.com/telltale-dev/telltale/webhook/audit/canary"
	"github.com/telltale-dev/telltale/webhook/audit/pods"
	"github.com/telltale-dev/telltale/webhook/certificate"
	"github.com/telltale-dev/telltale/webhook/freshness"
	"github.com/telltale-dev/telltale/webhook/guard"
	"github.com/telltale-dev/telltale/webhook/injections"
	"github.com/telltale-dev/telltale/webhook/leader"
	"github.com/telltale-dev/telltale/webhook/objects"
	"github.com/telltale-dev/telltale/webhook/report"
	"github.com/telltale-dev/telltale/webhook/server"
)

// parts are those that end one after the other, in this order.
type parts struct {
	server   *server.Server
	manager  manager.Manager
	replicas *freshness.Freshness
	trials   *audit.Trials
}

// wire returns a manager that serves the first pipe and audits. Both end in a
// reporter: the webhook by the Trials, which outlive the manager.
func wire(cfg *rest.Config, o options, log logr.Logger, known *injections.Injections, reporter *report.Reporter) (p parts, err error) {
	certificates, err := newCertificates(cfg, o, log)
	if err != nil {
		return p, err
	}

	callers, err := certificate.NewCallers(o.clientCAFile, log.WithName("callers"))
	if err != nil {
		return p, err
	}

	p.server = newServer(o, certificates, callers, log.WithName("server"))

	if err := watchRequired(cfg, o, log, known); err != nil {
		return p, err
	}

	m, err := newManager(cfg, o, log, known, p.server, metricsOptions(o, certificates))
	if err != nil {
		return p, err
	}

	if err := metrics.Registry.Register(certificate.Expiration(certificates.GetCertificate)); err != nil {
		return p, fmt.Errorf("cannot register a metric: %w", err)
	}

	p.manager, p.trials = m, audit.NewTrials(known, m.GetAPIReader(), reporter, log.WithName("audit"))
	unanswered := audit.NewUnanswered(p.trials)

	p.replicas, err = compare(m, o, log, known, unanswered)
	if err != nil {
		return p, fmt.Errorf("cannot set up the comparison with other replicas: %w", err)
	}

	selectors, err := audit.NewSelectors(m, log.WithName("audit"))
	if err != nil {
		return p, fmt.Errorf("cannot set up the look at controllers: %w", err)
	}

	m.GetWebhookServer().Register(webhook.Path, webhook.New(known, reviewed(o, p.trials, unanswered), webhook.Options{
		MaxInFlight: o.maxInFlight,
		Patience:    o.webhookTimeout,
		Registerer:  metrics.Registry,
		Selectors:   selectors,
		Canary:      canary.Matches(canaryNamespace),
		Previews:    known.Previews,
		Await:       known.Await,
		Gone:        server.Gone,
		Log:         log.WithName("webhook"),
	}))

	return p, errors.Join(
		metrics.Registry.Register(known.Metric()),
		metrics.Registry.Register(pods.Enabled(o.audit)),
		certificates.SetupWithManager(m),
		callers.SetupWithManager(m),
		known.Watch(m, o.namespace),
		m.Add(selectors),
		addLeader(m, o, log, known, reviews{unanswered, p.replicas}, reporter, certificates),
		addChecks(m, certificates, known, p.replicas),
	)
}

// The names of the Leases in Telltale's own namespace: that of the leader, that
// with the heartbeats of all replicas, and those of the audit, the canary and the healer.
const (
	leaseName    = "telltale"
	auditName    = "telltale-audit"
	canaryName   = "telltale-canary"
	healName     = "telltale-heal"
	replicasName = "telltale-replicas"
)

// canaryNamespace is where the canary pods would be. It holds nothing.
const canaryNamespace = "telltale-canary"

// compare has this replica's view of the Injections compared with those of the
// other replicas.
func compare(
	m manager.Manager, o options, log logr.Logger, known *injections.Injections, notices freshness.Notices,
) (*freshness.Freshness, error) {
	replicas, err := freshness.New(m.GetConfig(), freshness.Options{
		Namespace: o.namespace, Name: replicasName, Identity: leader.Identity(),
		Loaded: known.Loaded(),
		View: func() freshness.View {
			upTo, newest := known.Progress()

			return freshness.View{UpTo: upTo, Newest: newest}
		},
		Notices:    notices,
		Registerer: metrics.Registry, Log: log.WithName("freshness"),
	})
	if err != nil {
		return nil, err
	}

	known.Compare(replicas)

	return replicas, m.Add(replicas)
}

// watchRequired has the objects watched that Injections require.
func watchRequired(cfg *rest.Config, o options, log logr.Logger, known *injections.Injections) error {
	required, err := objects.New(cfg, objects.Options{Secrets: o.watchSecrets, Log: log.WithName("objects")})
	if err != nil {
		return fmt.Errorf("cannot set up the look at required objects: %w", err)
	}

	known.Require(required)

	return nil
}

// reviewed is where the failures of reviews go. With an audit, those of reviews that
// timed out wait until all replicas know of them: the leader tells of such pods, too.
func reviewed(o options, trials *audit.Trials, unanswered *audit.Unanswered) webhook.Reporter {
	if o.audit {
		return unanswered
	}

	return trials
}

// certificates is one of the two ways of package certificate.
type certificates interface {
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	SetupWithManager(manager.Manager) error
	Check(*http.Request) error
}

func newCertificates(cfg *rest.Config, o options, log logr.Logger) (certificates, error) {
	if o.certDir != "" {
		return certificate.NewFiles(o.certDir)
	}

	return certificate.NewAuthority(cfg, authorityOptions(o, log)), nil
}

func authorityOptions(o options, log logr.Logger) certificate.Options {
	return certificate.Options{
		Namespace:            o.namespace,
		Secret:               o.caSecret,
		WebhookConfiguration: o.configuration,
		DNSNames:             o.dnsNames,
		Pod:                  os.Getenv("POD_NAME"),
		Log:                  log.WithName("certificate"),
	}
}

func newServer(o options, c certificates, callers *certificate.Callers, log logr.Logger) *server.Server {
	t := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"}, // API servers use it for webhooks
		GetCertificate: c.GetCertificate,
	}
	callers.Require(t)

	return server.New(o.webhookPort, t, server.Options{Registerer: metrics.Registry, Log: log})
}

// metricsOptions guards the metrics if they are to be secure. If the webhook's
// certificate comes from files, the metrics have it, too. Otherwise
// controller-runtime generates one, so metrics never depend on the webhook's.
func metricsOptions(o options, c certificates) metricsserver.Options {
	m := metricsserver.Options{BindAddress: o.metricsAddress}
	if !o.metricsSecure {
		return m
	}

	m.SecureServing = true
	m.FilterProvider = guard.Filter
	m.TLSOpts = []func(*tls.Config){func(t *tls.Config) {
		t.MinVersion = tls.VersionTLS12
		t.NextProtos = []string{"http/1.1"}

		if o.certDir != "" {
			t.GetCertificate = c.GetCertificate
		}
	}}

	return m
}

func newManager(
	cfg *rest.Config, o options, log logr.Logger, known *injections.Injections, https ctrlwebhook.Server, served metricsserver.Options,
) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		v1alpha1.AddToScheme, corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, admissionregistrationv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("cannot build the scheme: %w", err)
		}
	}

	cached := known.Cache(o.namespace)
	maps.Copy(cached.ByObject, certificate.CacheByObject(authorityOptions(o, log)))

	m, err := manager.New(cfg, manager.Options{
		Scheme:                 scheme,
		Logger:                 log,
		Cache:                  cached,
		MapperProvider:         newMapper,
		Metrics:                served,
		HealthProbeBindAddress: o.healthAddress,
		WebhookServer:          https,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot set up the manager: %w", err)
	}

	return m, nil
}

// newMapper returns a mapper that asks the API server only about our own kinds.
// A manager, when it is made, looks up the kinds with limited watches. This
// mapper knows them, so a manager can be made while the API server is away.
func newMapper(cfg *rest.Config, client *http.Client) (meta.RESTMapper, error) {
	known := meta.NewDefaultRESTMapper(nil)
	for group, kinds := range map[schema.GroupVersion][]string{
		corev1.SchemeGroupVersion:  {"Secret", "ConfigMap", "LimitRange", "ResourceQuota", "Event", "Pod"},
		appsv1.SchemeGroupVersion:  {"ReplicaSet", "StatefulSet", "DaemonSet"},
		batchv1.SchemeGroupVersion: {"Job", "CronJob"},
	} {
		for _, kind := range kinds {
			known.Add(group.WithKind(kind), meta.RESTScopeNamespace)
		}
	}

	known.Add(admissionregistrationv1.SchemeGroupVersion.WithKind("MutatingWebhookConfiguration"), meta.RESTScopeRoot)

	others, err := apiutil.NewDynamicRESTMapper(cfg, client)
	if err != nil {
		return nil, fmt.Errorf("cannot set up the mapper of kinds: %w", err)
	}

	return meta.FirstHitRESTMapper{MultiRESTMapper: meta.MultiRESTMapper{known, others}}, nil
}

// addChecks decides when the process is ready: it serves, with a certificate, the
// Injections are loaded, and no other replica has newer ones. It need not reach the
// API server, because pods must start all the same.
func addChecks(m manager.Manager, c certificates, known *injections.Injections, replicas *freshness.Freshness) error {
	return errors.Join(
		m.AddHealthzCheck("ping", healthz.Ping),
		m.AddReadyzCheck("serving", m.GetWebhookServer().StartedChecker()),
		m.AddReadyzCheck("certificate", c.Check),
		m.AddReadyzCheck("injections", known.Check),
		m.AddReadyzCheck("freshness", replicas.Check),
	)
}
