//go:build apiserver

package serving

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/telltale-dev/telltale/internal/controlplane"
)

const host = "telltale-webhook.telltale-system.svc"

func eventually(t *testing.T, what string, condition func(context.Context) error) {
	t.Helper()

	var last error

	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true,
		func(ctx context.Context) (bool, error) {
			last = condition(ctx)

			return last == nil, nil
		})
	if err != nil {
		t.Fatalf("%s: %v", what, last)
	}
}

// handshake does what the API server does: it verifies the server's certificate
// with the caBundle.
func handshake(get func(*tls.ClientHelloInfo) (*tls.Certificate, error), bundle []byte) error {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(bundle) {
		return errors.New("the caBundle holds no certificate")
	}

	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: get, MinVersion: tls.VersionTLS13})
	if err != nil {
		return err
	}
	defer listener.Close() //nolint:errcheck // nothing is lost with it

	go func() {
		if conn, err := listener.Accept(); err == nil {
			_, _ = io.Copy(io.Discard, conn) // shakes hands, and ends with the client
			conn.Close()
		}
	}()

	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", listener.Addr().String(),
		&tls.Config{RootCAs: pool, ServerName: host, MinVersion: tls.VersionTLS13})
	if err != nil {
		return err
	}

	return conn.Close()
}

// TestCABundle starts two replicas at once on a fresh cluster, and breaks what
// can be broken: the caBundle comes right, trusts both, and nothing else of the
// configuration changes.
func TestCABundle(t *testing.T) {
	cp, err := controlplane.Start(t.Context(), controlplane.Options{NoControllerManager: true})
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		if err := cp.Stop(); err != nil {
			t.Error(err)
		}
	})

	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), admissionregistrationv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}

	c, err := client.New(cp.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}

	must := func(err error) {
		t.Helper()

		if err != nil {
			t.Fatal(err)
		}
	}
	url, none := "https://"+host+":443/mutate--v1-pod", admissionregistrationv1.SideEffectClassNone
	configuration := &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "telltale"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "pods.telltale.dev", AdmissionReviewVersions: []string{"v1"}, SideEffects: &none,
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &url},
		}},
	}
	must(c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "telltale-system"}}))
	must(c.Create(t.Context(), configuration))

	ctx, stop := context.WithCancel(t.Context())

	var replicas [2]*Authority

	ended := make(chan error, len(replicas))
	for i := range replicas {
		replicas[i] = startReplica(ctx, t, cp, scheme, ended)
	}

	defer func() {
		stop()

		for range replicas {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}()

	bundleNow := func(ctx context.Context) ([]byte, error) {
		err := c.Get(ctx, client.ObjectKeyFromObject(configuration), configuration)

		return configuration.Webhooks[0].ClientConfig.CABundle, err
	}
	trusted := func(ctx context.Context) error {
		bundle, err := bundleNow(ctx)
		for _, r := range replicas {
			err = errors.Join(err, r.Check(nil), handshake(r.GetCertificate, bundle))
		}

		return err
	}

	eventually(t, "fresh install", trusted)

	right, err := bundleNow(t.Context())
	must(err)

	// Overwritten, as a GitOps tool does, and emptied.
	foreign, _, _ := newCA(t, time.Now(), "somebody else", 1)
	for _, wrong := range [][]byte{foreign, nil} {
		configuration.Webhooks[0].ClientConfig.CABundle = wrong
		must(c.Update(t.Context(), configuration))
		eventually(t, "put right", func(ctx context.Context) error {
			bundle, err := bundleNow(ctx)
			if err == nil && !bytes.Equal(bundle, right) {
				err = fmt.Errorf("the caBundle is\n%s", bundle)
			}

			return err
		})
	}

	// The Secret deleted: another CA, and the old one stays trusted meanwhile.
	must(c.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "telltale-system", Name: "telltale-ca"}}))
	eventually(t, "another CA", func(ctx context.Context) error {
		bundle, err := bundleNow(ctx)
		if err == nil && (bytes.HasPrefix(bundle, right) || !bytes.HasSuffix(bundle, right)) {
			err = fmt.Errorf("the caBundle is\n%s", bundle)
		}

		return err
	})
	eventually(t, "trusted after", trusted)

	if *configuration.Webhooks[0].ClientConfig.URL != url || len(configuration.Webhooks) != 1 {
		t.Errorf("the configuration changed: %+v", configuration.Webhooks)
	}

	// The configuration deleted and made again.
	must(c.Delete(t.Context(), configuration))

	configuration.ResourceVersion, configuration.Webhooks[0].ClientConfig.CABundle = "", nil
	must(c.Create(t.Context(), configuration))
	eventually(t, "made again", trusted)
}

func startReplica(
	ctx context.Context, t *testing.T, cp *controlplane.ControlPlane, scheme *runtime.Scheme, ended chan<- error,
) *Authority {
	t.Helper()

	o := Options{
		Namespace: "telltale-system", Secret: "telltale-ca", WebhookConfiguration: "telltale",
		DNSNames: []string{host}, Log: logr.Discard(),
	}

	skip := true

	m, err := manager.New(cp.Config, manager.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, Cache: cache.Options{ByObject: CacheByObject(o)},
		Controller: config.Controller{SkipNameValidation: &skip}, Logger: logr.Discard(),
	})
	if err != nil {
		t.Fatal(err)
	}

	a := NewAuthority(cp.Config, o)
	if err := a.SetupWithManager(m); err != nil {
		t.Fatal(err)
	}

	go func() { ended <- m.Start(ctx) }()

	return a
}

// TestFilesAreReloaded replaces the certificate as a mounted Secret's is
// replaced: the new one is served without a restart.
func TestFilesAreReloaded(t *testing.T) {
	dir := t.TempDir()
	first := writeLeaf(t, dir)

	f, err := NewFiles(dir)
	if err != nil {
		t.Fatal(err)
	}

	if err := errors.Join(f.Check(nil), handshake(f.GetCertificate, first)); err != nil {
		t.Fatal(err)
	}

	go func() { _ = f.watcher.Start(t.Context()) }()

	second := writeLeaf(t, dir)
	eventually(t, "reloaded", func(context.Context) error { return handshake(f.GetCertificate, second) })
}

// writeLeaf writes a certificate of a new CA, and returns the CA.
func writeLeaf(t *testing.T, dir string) []byte {
	t.Helper()

	ca, caCert, key := newCA(t, time.Now(), "test", 1)
	template := &x509.Certificate{
		SerialNumber: caCert.SerialNumber, DNSNames: []string{host},
		NotBefore: caCert.NotBefore, NotAfter: caCert.NotAfter,
	}

	der, err := x509.CreateCertificate(rand.Reader, template, caCert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}

	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}

	for name, block := range map[string][]byte{
		certFile: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), block, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	return ca
}
