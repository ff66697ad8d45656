//go:build apiserver

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
)

// shownCertificate makes an API server show a certificate to webhooks. Each
// file's name is that of the folder.
const (
	shownCertificate = `
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: MutatingAdmissionWebhook
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: WebhookAdmissionConfiguration
    kubeConfigFile: %[1]s/webhooks.yaml
`
	shownTo = `
apiVersion: v1
kind: Config
users:
- name: '*'
  user: {client-certificate: %[1]s/tls.crt, client-key: %[1]s/tls.key}
`
)

// TestCallers lets nothing but the API server call, by its certificate. When that
// one comes from another CA, pods are injected again without a restart, and the
// old CA counts no more.
func TestCallers(t *testing.T) {
	dir := t.TempDir()
	writeCertificate(t, dir)

	for name, content := range map[string]string{"admission.yaml": shownCertificate, "webhooks.yaml": shownTo} {
		if err := os.WriteFile(filepath.Join(dir, name), fmt.Appendf(nil, content, dir), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	c := &cluster{ControlPlane: harness.ControlPlane(t, controlplane.Options{
		APIServerFlags: []string{"--admission-control-config-file=" + filepath.Join(dir, "admission.yaml")},
	}), dir: t.TempDir()}
	port := harness.FreePort(t)
	c.install(t, port)

	harness.WaitReady(t, c.launch(t, port, "--client-ca-file="+filepath.Join(dir, "tls.crt")))
	c.apply(t, envInjection("mesh", "checkout", "REGION", "eu"))
	c.kubectl(t, "wait", "--for=condition=Ready", "-n", "shop", "injections", "--all")
	c.injectedAgain(t, "checkout", "REGION")

	first, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}

	if err := call(t.Context(), port, first); err != nil {
		t.Errorf("the API server's certificate: %v", err)
	}

	if call(t.Context(), port) == nil {
		t.Error("a caller without a certificate is served")
	}

	writeCertificate(t, dir)
	c.StopAPIServer()

	if err := c.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}

	c.injectedAgain(t, "checkout", "REGION")

	if call(t.Context(), port, first) == nil {
		t.Error("a certificate of the old CA is served")
	}
}

// call connects to Telltale. With TLS 1.3, the first read shows if the certificate
// was refused: an alert comes, and not an answer.
func call(ctx context.Context, port string, certificates ...tls.Certificate) error {
	dialer := tls.Dialer{Config: &tls.Config{
		Certificates: certificates, InsecureSkipVerify: true, // a test of the other side
	}}

	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort("localhost", port))
	if err != nil {
		return err
	}
	defer conn.Close()

	if _, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err == nil {
		_, err = io.ReadAll(conn)
	}

	return err
}
