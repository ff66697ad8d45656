package certificate

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// TestControlWaits starts the controller while no connection to the API server
// can be made. A day later it still waits.
func TestControlWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		m := unreachable(t)

		go func() { ended <- m.Start(ctx) }()

		select {
		case err := <-ended:
			t.Fatalf("it ended: %v", err)
		case <-time.After(24 * time.Hour):
		}

		stop()

		if err := <-ended; err != nil {
			t.Errorf("asked to end, it says %v", err)
		}
	})
}

// unreachable returns a manager with the controller, without an API server.
func unreachable(t *testing.T) manager.Manager {
	t.Helper()

	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), admissionv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}

	o := Options{
		Namespace: "telltale-system", Secret: "telltale-ca", WebhookConfiguration: "telltale",
		DNSNames: []string{host}, Log: logr.Discard(),
	}
	cfg := &rest.Config{Host: "http://127.0.0.1:1", Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("connection refused")
	}}

	m, err := manager.New(cfg, manager.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, Logger: logr.Discard(),
		Controller: config.Controller{SkipNameValidation: new(true)},
		Cache: cache.Options{
			ByObject: CacheByObject(o),
			// The default sleeps by a clock that is not the bubble's.
			DefaultWatchErrorHandler: func(context.Context, *toolscache.Reflector, error) {},
		},
		MapperProvider: func(*rest.Config, *http.Client) (meta.RESTMapper, error) {
			mapper := meta.NewDefaultRESTMapper(nil)
			mapper.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
			mapper.Add(admissionv1.SchemeGroupVersion.WithKind("MutatingWebhookConfiguration"), meta.RESTScopeRoot)

			return mapper, nil
		},
	})
	if err == nil {
		err = NewAuthority(cfg, o).control(m)
	}

	if err != nil {
		t.Fatal(err)
	}

	return m
}
