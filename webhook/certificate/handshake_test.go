//go:build apiserver

package certificate

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/test/harness"
)

// handshake does the same as the API server: it verifies the server's
// certificate with the caBundle.
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
			_, _ = io.Copy(io.Discard, conn) // this shakes hands, and ends with the client
			conn.Close()
		}
	}()

	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: harness.Patience}, "tcp", listener.Addr().String(),
		&tls.Config{RootCAs: pool, ServerName: host, MinVersion: tls.VersionTLS13})
	if err != nil {
		return err
	}

	return conn.Close()
}

// TestFilesAreReloaded replaces the certificate in the way of a mounted Secret:
// the new one is served without a restart.
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
	harness.Eventually(t, "reloaded", func(context.Context) error { return handshake(f.GetCertificate, second) })
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
		certFile: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		keyFile:  encodeKey(keyDER),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), block, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	return ca
}

func encodeKey(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
