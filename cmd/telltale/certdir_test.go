//go:build apiserver

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/test/harness"
)

// TestCertDir serves certificates that the test writes, without rights to
// Secrets or to the webhook's registration. It goes on when they are renewed
// under another CA.
func TestCertDir(t *testing.T) {
	t.Parallel()

	c := startCluster(t)
	port, dir := harness.FreePort(t), t.TempDir()
	c.install(t, port)
	c.kubectl(t, "delete", "-k", filepath.Join("..", "..", "config", "authority"))

	for round, variable := range []string{"FIRST", "RENEWED"} {
		ca := writeCertificate(t, dir)
		c.kubectl(t, "patch", "mutatingwebhookconfiguration", "telltale", "--type=json", "--patch",
			`[{"op":"add","path":"/webhooks/0/clientConfig/caBundle","value":"`+ca+`"}]`)

		if round == 0 {
			harness.WaitReady(t, c.launch(t, port, "--cert-dir="+dir))
		}

		app := strings.ToLower(variable)
		c.apply(t, envInjection(app, app, variable, "x"))
		c.kubectl(t, "wait", "--for=condition=Ready", "-n", "shop", "injection/"+app)
		c.injectedAgain(t, app, variable)

		if now := c.kubectl(t, "get", "mutatingwebhookconfiguration", "telltale", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}"); now != ca {
			t.Errorf("the caBundle was changed to %s", now)
		}
	}
}

// injectedAgain makes a pod again and again until it is injected. The API
// server takes a moment to trust another CA, and Telltale takes a moment to
// read its files again. Until then pods start without Injections.
func (c *cluster) injectedAgain(t *testing.T, app, variable string) {
	t.Helper()

	manifest := c.write(t, barePod("name: "+app, "\n  labels: {app: "+app+"}"))
	harness.Eventually(t, "an injected pod", func(ctx context.Context) error {
		if _, err := c.Kubectl(ctx, "replace", "--force", "--grace-period=0", "-f", manifest); err != nil {
			return err
		}

		out, err := c.Kubectl(ctx, envOf(app)...)
		if err == nil && out != variable+" HTTP_PROXY\n" {
			err = fmt.Errorf("the pod has %q", out)
		}

		return err
	})
}

// writeCertificate makes a new CA, writes its certificate for localhost, and
// returns the CA as a caBundle. It is valid for an hour.
func writeCertificate(t *testing.T, dir string) string {
	t.Helper()

	return writeCertificateFor(t, dir, time.Hour)
}

// writeCertificateFor writes one that is valid for so long.
func writeCertificateFor(t *testing.T, dir string, valid time.Duration) string {
	t.Helper()

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{"localhost", "telltale-webhook.telltale-system.svc"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(valid),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}

	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}

	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}

	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	for name, content := range map[string][]byte{
		"tls.crt": certPEM, "tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	return base64.StdEncoding.EncodeToString(certPEM)
}
