//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/test/harness"
)

// authority is the key of the Secret with the CA.
func authority() client.ObjectKey {
	return client.ObjectKey{Namespace: "telltale-system", Name: "telltale-ca"}
}

// logged returns how often each replica has logged a text.
func logged(ctx context.Context, pods []corev1.Pod, text string) (counts []int, err error) {
	for _, p := range pods {
		out, err := exec.CommandContext(ctx, "kubectl", "logs", "-n", p.Namespace, p.Name).Output()
		if err != nil {
			return nil, fmt.Errorf("cannot read the log of %s: %w", p.Name, err)
		}
		counts = append(counts, strings.Count(string(out), text))
	}

	return counts, nil
}

// logs calls a function, and waits until each replica has logged a text once more.
func logs(t *testing.T, pods []corev1.Pod, text string, after func()) time.Duration {
	t.Helper()
	before, err := logged(t.Context(), pods, text)
	if err != nil {
		t.Fatal(err)
	}
	after()

	return harness.Within(t, 2*harness.Patience, fmt.Sprintf("each replica has said %q", text), func(ctx context.Context) error {
		now, err := logged(ctx, pods, text)
		for i := range now {
			if now[i] <= before[i] {
				err = fmt.Errorf("%s has not", pods[i].Name)
			}
		}

		return err
	})
}

const newCertificate = "serving a new certificate"

func TestCARotation(t *testing.T) {
	r := begin(t, "the CA's Secret deleted, twice: a new CA and new leaves", "every pod injected")
	install(t, tree("config", "default"), *image)
	pods := two(t)
	s := flow(t, "ca-rotation")
	for range 2 {
		took := logs(t, pods, newCertificate, func() {
			kubectl(t, "delete", "secret", "-n", authority().Namespace, authority().Name)
		})
		r.note("served after %.0f s", took.Seconds())
	}
	s.goOn(3 * time.Second)
	s.end(r, prompt)
	r.complete(t)
}

// TestCANearExpiry puts a CA into the Secret that is about to expire, as if Telltale
// had been away for a year.
func TestCANearExpiry(t *testing.T) {
	r := begin(t, "a CA that is about to expire", "every pod injected, a new CA made")
	install(t, tree("config", "default"), *image)
	pods := two(t)
	s := flow(t, "near-expiry")
	const left = 45 * time.Second
	expires := time.Now().Add(left)
	certificate, key := expiring(t, left)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: authority().Namespace, Name: authority().Name}}
	if err := node.api.Get(t.Context(), authority(), secret); err != nil {
		t.Fatal(err)
	}
	secret.Data = map[string][]byte{"tls.crt": certificate, "tls.key": key, "ca.crt": certificate}
	took := logs(t, pods, newCertificate, func() {
		if err := node.api.Update(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
	})
	r.note("another is served after %.0f s", took.Seconds())
	harness.Eventually(t, "another CA", func(ctx context.Context) error {
		if err := node.api.Get(ctx, authority(), secret); err != nil {
			return err
		}
		until, err := expiration(secret.Data["tls.crt"])
		if err == nil && time.Until(until) < 24*time.Hour {
			err = fmt.Errorf("it expires at %v", until)
		}

		return err
	})
	s.goOn(time.Until(expires) + 3*time.Second)
	s.end(r, prompt)
	r.complete(t)
}

func expiring(t *testing.T, in time.Duration) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "telltale-e2e"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(in),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}

	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded})
}

func expiration(certificate []byte) (time.Time, error) {
	block, _ := pem.Decode(certificate)
	if block == nil {
		return time.Time{}, errors.New("no PEM")
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}, err
	}

	return parsed.NotAfter, nil
}

func bundle(ctx context.Context) (string, error) {
	var registration admissionregistrationv1.MutatingWebhookConfiguration
	if err := node.api.Get(ctx, client.ObjectKey{Name: "telltale"}, &registration); err != nil {
		return "", err
	}

	return string(registration.Webhooks[0].ClientConfig.CABundle), nil
}

func TestCABundleSpoiled(t *testing.T) {
	r := begin(t, "caBundle overwritten by hand, then emptied", "put right by itself")
	install(t, tree("config", "default"), *image)
	kubectl(t, "create", "namespace", "spoiled")
	defer kubectl(t, "delete", "namespace", "spoiled", "--wait=false")
	apply(t, fmt.Sprintf(injection, "spoiled"))
	secret := &corev1.Secret{}
	if err := node.api.Get(t.Context(), authority(), secret); err != nil {
		t.Fatal(err)
	}
	right := string(bytes.TrimSpace(secret.Data["tls.crt"]))
	stranger, _ := expiring(t, time.Hour)
	for what, value := range map[string]any{"overwritten": stranger, "emptied": nil} {
		patch := []map[string]any{{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": value}}
		if value == nil {
			patch = []map[string]any{{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}}
		}
		kubectl(t, "patch", "mutatingwebhookconfiguration", "telltale", "--type=json", "--patch="+encode(t, patch))
		took := harness.Eventually(t, "caBundle is right again", func(ctx context.Context) error {
			now, err := bundle(ctx)
			if err == nil && !strings.Contains(now, right) {
				err = errors.New("it does not hold the CA")
			}

			return err
		})
		harness.Eventually(t, "pods are injected again", func(ctx context.Context) error {
			return node.injects(ctx, "spoiled", "e2e")
		})
		r.note("%s: right after %.1f s", what, took.Seconds())
	}
}

func TestStartAtOnce(t *testing.T) {
	r := begin(t, "two replicas start at once, without a CA", "one CA, no fight over caBundle")
	install(t, tree("config", "default"), *image)
	kubectl(t, "scale", "deployment", "telltale", "-n", "telltale-system", "--replicas=0")
	harness.Eventually(t, "Telltale's pods are gone", noPods)
	kubectl(t, "delete", "secret", "-n", authority().Namespace, authority().Name)
	kubectl(t, "create", "namespace", "at-once")
	defer kubectl(t, "delete", "namespace", "at-once", "--wait=false")
	apply(t, fmt.Sprintf(injection, "at-once"))
	kubectl(t, "scale", "deployment", "telltale", "-n", "telltale-system", "--replicas=2")
	took := harness.Eventually(t, "pods are injected", func(ctx context.Context) error {
		return node.injects(ctx, "at-once", "e2e")
	})
	rolledOut(t, "telltale-system", "telltale")
	r.note("injected after %.1f s", took.Seconds())
	version := func() string {
		return kubectl(t, "get", "mutatingwebhookconfiguration", "telltale", "--output=jsonpath={.metadata.resourceVersion}")
	}
	// Nothing may happen. It takes time to see that.
	time.Sleep(2 * time.Second)
	before := version()
	time.Sleep(8 * time.Second)
	if after := version(); after != before {
		t.Errorf("the registration is still being written: resourceVersion %s, then %s", before, after)
	}
}

// TestCertManager runs the real controllers of cert-manager beside the cluster.
func TestCertManager(t *testing.T) {
	r := begin(t, "cert-manager's certificates, CA and leaf renewed", "issued, CA injected; the new leaf served without a restart, every pod injected")
	if *certManager == "" {
		r.skip(t, "no -cert-manager")
	}
	uninstall(t, tree("config", "default"), *image)
	kubectl(t, "apply", "--server-side", "-f", filepath.Join(*certManager, "crds.yaml"))
	kubectl(t, "wait", "--for=condition=Established", "crds", "--all")
	controllers := exec.Command(filepath.Join(*certManager, "cert-manager"))
	var log strings.Builder
	controllers.Stdout, controllers.Stderr = &log, &log
	if err := controllers.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = controllers.Process.Signal(syscall.SIGTERM)
		_ = controllers.Wait()
		if t.Failed() {
			t.Log(log.String()[max(0, log.Len()-4000):])
		}
	}()

	start := time.Now()
	install(t, tree("config", "overlays", "cert-manager"), *image)
	defer uninstall(t, tree("config", "overlays", "cert-manager"), *image)
	s := flow(t, "cert-manager")
	r.note("pods run with their Injection %.0f s after the install", time.Since(start).Seconds())
	renew(t, "telltale-root")
	took := logs(t, two(t), "Updated current TLS certificate", func() { renew(t, "telltale-serving-cert") })
	r.note("the renewed one is served after %.0f s", took.Seconds())
	s.goOn(3 * time.Second)
	s.end(r, prompt)
	r.complete(t)
}

// renew makes cert-manager issue a Certificate anew, as cmctl does, and waits for
// it.
func renew(t *testing.T, name string) {
	t.Helper()
	revision := func(ctx context.Context) (string, error) {
		return output(ctx, "", "kubectl", "get", "certificate", name, "-n", "telltale-system", "--output=jsonpath={.status.revision}")
	}
	before, err := revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, "patch", "certificate", name, "-n", "telltale-system", "--subresource=status", "--type=json",
		"--patch="+encode(t, []map[string]any{{"op": "add", "path": "/status/conditions/-", "value": map[string]any{
			"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "by a test",
		}}}))
	harness.Eventually(t, name+" is renewed", func(ctx context.Context) error {
		now, err := revision(ctx)
		if err == nil && now == before {
			err = fmt.Errorf("it is at revision %s", now)
		}

		return err
	})
}
