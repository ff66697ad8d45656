package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/injections"
	"github.com/telltale-dev/telltale/webhook/server"
	"github.com/telltale-dev/telltale/webhook/serving"
)

// certificates is either way of package serving.
type certificates interface {
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	SetupWithManager(manager.Manager) error
	Check(*http.Request) error
}

func newCertificates(cfg *rest.Config, o options, log logr.Logger) (certificates, error) {
	if o.certDir != "" {
		return serving.NewFiles(o.certDir)
	}

	return serving.NewAuthority(cfg, authorityOptions(o, log)), nil
}

func authorityOptions(o options, log logr.Logger) serving.Options {
	return serving.Options{
		Namespace:            o.namespace,
		Secret:               o.caSecret,
		WebhookConfiguration: o.configuration,
		DNSNames:             o.dnsNames,
		Log:                  log.WithName("serving"),
	}
}

func newServer(o options, c certificates) (*server.Server, error) {
	t := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"}, // what the API server speaks to webhooks
		GetCertificate: c.GetCertificate,
	}

	if o.clientCAFile != "" {
		pool, err := serving.ClientCAs(o.clientCAFile)
		if err != nil {
			return nil, err
		}

		t.ClientCAs, t.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}

	return server.New(o.webhookPort, t), nil
}

// metricsOptions guards the metrics where they are to be secure. Their
// certificate is the webhook's own if somebody else wrote it; otherwise
// controller-runtime makes one, that there are metrics if there is no other.
func metricsOptions(o options, c certificates) metricsserver.Options {
	m := metricsserver.Options{BindAddress: o.metricsAddress}
	if !o.metricsSecure {
		return m
	}

	m.SecureServing = true
	m.FilterProvider = guarded
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
	cfg *rest.Config, o options, log logr.Logger, https ctrlwebhook.Server, metrics metricsserver.Options,
) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		v1alpha1.AddToScheme, corev1.AddToScheme, admissionregistrationv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("cannot build the scheme: %w", err)
		}
	}

	m, err := manager.New(cfg, manager.Options{
		Scheme: scheme,
		Logger: log,
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject:         serving.CacheByObject(authorityOptions(o, log)),
		},
		MapperProvider:         newMapper,
		Metrics:                metrics,
		HealthProbeBindAddress: o.healthAddress,
		WebhookServer:          https,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot set up the manager: %w", err)
	}

	return m, nil
}

// newMapper returns a mapper that asks the API server about our own kinds only.
// A manager asks for those whose watches are limited when it is made; they are
// known here, so that one can be made while the API server is away.
func newMapper(cfg *rest.Config, client *http.Client) (meta.RESTMapper, error) {
	known := meta.NewDefaultRESTMapper(nil)
	known.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
	known.Add(admissionregistrationv1.SchemeGroupVersion.WithKind("MutatingWebhookConfiguration"), meta.RESTScopeRoot)

	others, err := apiutil.NewDynamicRESTMapper(cfg, client)
	if err != nil {
		return nil, fmt.Errorf("cannot set up the mapper of kinds: %w", err)
	}

	return meta.FirstHitRESTMapper{MultiRESTMapper: meta.MultiRESTMapper{known, others}}, nil
}

// addChecks makes ready mean: serving, with a certificate, and with the
// Injections loaded. That the API server can be reached is no part of it: pods
// must start all the same.
func addChecks(m manager.Manager, c certificates, known *injections.Injections) error {
	return errors.Join(
		m.AddHealthzCheck("ping", healthz.Ping),
		m.AddReadyzCheck("serving", m.GetWebhookServer().StartedChecker()),
		m.AddReadyzCheck("certificate", c.Check),
		m.AddReadyzCheck("injections", known.Check),
	)
}
