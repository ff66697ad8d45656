//go:build apiserver

package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
)

// webhookURL is the part of the configuration that must not change.
const webhookURL = "https://" + host + ":443/mutate--v1-pod"

// cluster is a real API server with a configuration to keep right, and two
// replicas that were started at the same time.
type cluster struct {
	client.Client

	t        *testing.T
	replicas [2]*Authority
}

func start(t *testing.T, propagation time.Duration, between ...transport.WrapperFunc) *cluster {
	t.Helper()

	cp := harness.ControlPlane(t, controlplane.Options{NoControllerManager: true})

	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), admissionregistrationv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}

	var err error

	c := &cluster{t: t}
	c.Client, err = client.New(cp.Config, client.Options{Scheme: scheme})
	c.must(err)
	c.must(c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "telltale-system"}}))
	c.must(c.Create(t.Context(), newConfiguration()))

	ctx, stop := context.WithCancel(t.Context())

	ended := make(chan error, len(c.replicas))
	for i := range c.replicas {
		cfg := rest.CopyConfig(cp.Config)
		cfg.Wrap(transport.Wrappers(between...))

		c.replicas[i] = startReplica(ctx, t, cfg, scheme, propagation, ended)
	}

	t.Cleanup(func() {
		stop()

		for range c.replicas {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})

	return c
}

func newConfiguration() *admissionregistrationv1.MutatingWebhookConfiguration {
	return &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "telltale"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "pods.telltale.dev", AdmissionReviewVersions: []string{"v1"},
			SideEffects:  new(admissionregistrationv1.SideEffectClassNone),
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: new(webhookURL)},
		}},
	}
}

func startReplica(
	ctx context.Context, t *testing.T, cfg *rest.Config, scheme *runtime.Scheme, propagation time.Duration, ended chan<- error,
) *Authority {
	t.Helper()

	o := Options{
		Namespace: "telltale-system", Secret: "telltale-ca", WebhookConfiguration: "telltale",
		DNSNames: []string{host}, Propagation: propagation, Log: logr.Discard(),
	}

	m, err := manager.New(cfg, manager.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, Cache: cache.Options{ByObject: CacheByObject(o)},
		Controller: config.Controller{SkipNameValidation: new(true)}, Logger: logr.Discard(),
	})
	if err != nil {
		t.Fatal(err)
	}

	a := NewAuthority(cfg, o)
	if err := a.SetupWithManager(m); err != nil {
		t.Fatal(err)
	}

	go func() { ended <- m.Start(ctx) }()

	return a
}

func (c *cluster) must(err error) {
	c.t.Helper()

	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) secret() *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "telltale-system", Name: "telltale-ca"}}
}

// configuration reads it as it is now.
func (c *cluster) configuration(ctx context.Context) (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	var configuration admissionregistrationv1.MutatingWebhookConfiguration

	return &configuration, c.Get(ctx, client.ObjectKey{Name: "telltale"}, &configuration)
}

func (c *cluster) bundle(ctx context.Context) ([]byte, error) {
	configuration, err := c.configuration(ctx)
	if err != nil {
		return nil, err
	}

	return configuration.Webhooks[0].ClientConfig.CABundle, nil
}

// setBundle overwrites the caBundle, as another tool may do.
func (c *cluster) setBundle(bundle []byte) {
	c.t.Helper()

	configuration, err := c.configuration(c.t.Context())
	c.must(err)

	before := configuration.DeepCopy()
	configuration.Webhooks[0].ClientConfig.CABundle = bundle
	c.must(c.Patch(c.t.Context(), configuration, client.StrategicMergeFrom(before)))
}

// trusted is nil if the API server could call both replicas now.
func (c *cluster) trusted(ctx context.Context) error {
	bundle, err := c.bundle(ctx)
	for _, r := range c.replicas {
		err = errors.Join(err, r.Check(nil), handshake(r.GetCertificate, bundle))
	}

	return err
}

// underAnother is a condition: both replicas serve under one CA, and it is not
// the CA that they served under before.
func (c *cluster) underAnother() func(context.Context) error {
	before := c.replicas[0].serving.Load().ca

	return func(context.Context) error {
		one, other := c.replicas[0].serving.Load().ca, c.replicas[1].serving.Load().ca
		if one.Equal(before) || !one.Equal(other) {
			return fmt.Errorf("the replicas' CAs were made at %v and %v, the one before at %v", one.NotBefore, other.NotBefore, before.NotBefore)
		}

		return nil
	}
}

// TestCABundle starts two replicas at the same time on a fresh cluster, and
// breaks all that can be broken. Each time, the caBundle becomes right again
// and trusts both replicas, and nothing else of the configuration changes.
func TestCABundle(t *testing.T) {
	c := start(t, time.Second)
	harness.Eventually(t, "fresh install", c.trusted)

	right, err := c.bundle(t.Context())
	c.must(err)

	// Overwritten, as a GitOps tool does, and emptied.
	foreign, _, _ := newCA(t, time.Now(), "somebody else", 1)
	for _, wrong := range [][]byte{foreign, nil} {
		c.setBundle(wrong)
		harness.Eventually(t, "put right", func(ctx context.Context) error {
			bundle, err := c.bundle(ctx)
			if err == nil && !bytes.Equal(bundle, right) {
				err = fmt.Errorf("the caBundle is\n%s", bundle)
			}

			return err
		})
	}

	// If the Secret holds no CA, its content never gets into the caBundle, and
	// is replaced.
	secret := c.secret()
	c.must(c.Get(t.Context(), client.ObjectKeyFromObject(secret), secret))

	secret.Data[corev1.TLSCertKey] = []byte("rubbish")
	another := c.underAnother()
	c.must(c.Update(t.Context(), secret))
	harness.Eventually(t, "another CA", another)
	harness.Eventually(t, "trusted after rubbish", c.trusted)

	// A good CA of another name never gets into the caBundle either, and is
	// replaced.
	another = c.underAnother()
	c.setCA("somebody else", 1)
	harness.Eventually(t, "a CA of ours", another)
	harness.Eventually(t, "trusted after a CA of another name", c.trusted)

	// The Secret is deleted and the caBundle emptied at the same time. Until the
	// new CA has propagated, the replicas serve under the old one, and the
	// caBundle trusts it again.
	another = c.underAnother()
	c.must(c.Delete(t.Context(), c.secret()))
	c.setBundle(nil)
	harness.Eventually(t, "trusted meanwhile", c.trusted)
	harness.Eventually(t, "yet another CA", another)
	harness.Eventually(t, "trusted after", c.trusted)

	configuration, err := c.configuration(t.Context())
	c.must(err)

	if *configuration.Webhooks[0].ClientConfig.URL != webhookURL || len(configuration.Webhooks) != 1 {
		t.Errorf("the configuration changed: %+v", configuration.Webhooks)
	}

	// The configuration is deleted and made again.
	c.must(c.Delete(t.Context(), configuration))
	c.must(c.Create(t.Context(), newConfiguration()))
	harness.Eventually(t, "made again", c.trusted)
}

// roundTrip is an http.RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip calls it.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestHungCall has the first writes of the caBundle get no answer, as where something
// between hangs: they are given up, and made again.
func TestHungCall(t *testing.T) {
	t.Parallel()

	var hung atomic.Int32

	c := start(t, time.Second, func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPatch && hung.Add(1) <= 2 {
				<-r.Context().Done()

				return nil, r.Context().Err()
			}

			return next.RoundTrip(r)
		})
	})
	harness.Eventually(t, "the caBundle is right", c.trusted)

	if hung.Load() < 2 {
		t.Error("no write hung")
	}
}

// TestRotation makes the CA change in each possible way. All the time it asks:
// if an API server still had the caBundle of half a propagation ago, would it
// trust the certificates that the replicas serve now? It always would.
func TestRotation(t *testing.T) {
	const propagation = 2 * time.Second

	c := start(t, propagation)
	harness.Eventually(t, "fresh install", c.trusted)

	late := &late{cluster: c, delay: propagation / 2}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})

	go func() {
		defer close(ended)

		late.run(ctx)
	}()

	// The Secret is deleted.
	another := c.underAnother()
	c.must(c.Delete(t.Context(), c.secret()))
	harness.Eventually(t, "another CA", another)
	harness.Eventually(t, "hearing of it", late.heard())

	// The CA is near its end: less than a third of its year is left.
	another = c.underAnother()
	c.setCA(commonName, 300)
	harness.Eventually(t, "another CA before the end", another)
	harness.Eventually(t, "hearing of it", late.heard())

	// The CA changes twice, the second time before the first has propagated.
	another = c.underAnother()
	deleted := c.secret()
	c.must(c.Get(t.Context(), client.ObjectKeyFromObject(deleted), deleted))
	c.must(c.Delete(t.Context(), c.secret()))
	harness.Eventually(t, "another Secret", func(ctx context.Context) error {
		secret := c.secret()
		if err := c.Get(ctx, client.ObjectKeyFromObject(secret), secret); err != nil {
			return err
		}

		if secret.UID == deleted.UID {
			return errors.New("it is still the same")
		}

		return nil
	})
	c.must(c.Delete(t.Context(), c.secret()))
	harness.Eventually(t, "another CA after the other", another)
	harness.Eventually(t, "hearing of it", late.heard())

	stop()
	<-ended
}

// setCA overwrites the Secret with a CA of a name that was made some days ago.
func (c *cluster) setCA(name string, daysAgo int) {
	c.t.Helper()

	encoded, _, key := newCA(c.t, time.Now(), name, daysAgo)

	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	c.must(err)

	secret := c.secret()
	c.must(c.Get(c.t.Context(), client.ObjectKeyFromObject(secret), secret))
	secret.Data = map[string][]byte{
		corev1.TLSCertKey: encoded, corev1.TLSPrivateKeyKey: encodeKey(keyDER), "ca.crt": encoded,
	}
	c.must(c.Update(c.t.Context(), secret))
}

// late is an API server that learns of a caBundle some time late.
type late struct {
	*cluster

	delay time.Duration
	until atomic.Pointer[time.Time] // the time of the caBundle that it knows
}

// run checks the served certificates with the caBundle that it knows, until ctx
// ends.
func (l *late) run(ctx context.Context) {
	type seen struct {
		at     time.Time
		bundle []byte
	}

	var news []seen

	for ctx.Err() == nil {
		at := time.Now()

		bundle, err := l.bundle(ctx)
		if err != nil {
			continue
		}

		news = append(news, seen{at, bundle})
		for len(news) > 1 && time.Since(news[1].at) > l.delay {
			news = news[1:]
		}

		// Either the delay is not over yet, or the machine is so busy that this
		// caBundle is older than that of any API server.
		if age := time.Since(news[0].at); age < l.delay || age > 3*l.delay/2 {
			continue
		}

		for i, r := range l.replicas {
			if err := verify(r, news[0].bundle); err != nil {
				l.t.Errorf("replica %d serves a certificate that the caBundle of %v ago did not trust: %v", i, time.Since(news[0].at), err)
			}
		}

		l.until.Store(&news[0].at)
	}
}

// heard is a condition: it knows the caBundle of now.
func (l *late) heard() func(context.Context) error {
	now := time.Now()

	return func(context.Context) error {
		if until := l.until.Load(); until == nil || until.Before(now) {
			return errors.New("not yet")
		}

		return nil
	}
}

func verify(a *Authority, bundle []byte) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)

	certificate, err := a.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		return err
	}

	_, err = certificate.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots})

	return err
}
