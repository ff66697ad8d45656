package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
)

// TestCallersAreReloaded changes the file in each possible way. CAs that are good
// are in force at the next reading; else the last ones stay.
func TestCallersAreReloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "ca.crt")
		first, firstCert, _ := newCA(t, at(), "callers", 1)
		next, nextCert, _ := newCA(t, at(), "callers", 0)
		write := func(content []byte) {
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}

		write(first)

		c, err := NewCallers(file, logr.Discard())
		if err != nil {
			t.Fatal(err)
		}

		go c.follow(t.Context())

		steps := []struct {
			reason string
			change func()
			want   []*x509.Certificate
		}{
			{"As it was at the start.", func() {}, []*x509.Certificate{firstCert}},
			{"A rotation begins: both count.", func() { write(slices.Concat(first, next)) }, []*x509.Certificate{firstCert, nextCert}},
			{"It ends.", func() { write(next) }, []*x509.Certificate{nextCert}},
			{"A mistake does not lock the API server out.", func() { write([]byte("no PEM")) }, []*x509.Certificate{nextCert}},
			{"Nor does a lost file.", func() { _ = os.Remove(file) }, []*x509.Certificate{nextCert}},
			{"It is back.", func() { write(first) }, []*x509.Certificate{firstCert}},
		}
		for _, step := range steps {
			step.change()
			time.Sleep(readEvery)
			synctest.Wait()

			want := x509.NewCertPool()
			for _, cert := range step.want {
				want.AddCert(cert)
			}

			var server tls.Config

			c.Require(&server)

			now, err := server.GetConfigForClient(nil)
			if err != nil || !now.ClientCAs.Equal(want) || now.ClientAuth != tls.RequireAndVerifyClientCert {
				t.Errorf("%s It is not so: %v", step.reason, err)
			}
		}
	})
}

func TestNewCallersErrors(t *testing.T) {
	dir := t.TempDir()

	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}

	for _, file := range []string{bad, filepath.Join(dir, "missing")} {
		if _, err := NewCallers(file, logr.Discard()); err == nil || !strings.Contains(err.Error(), "--client-ca-file") {
			t.Errorf("%s: %v", file, err)
		}
	}
}
