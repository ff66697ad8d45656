package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// readEvery is how often the CAs of callers are read again. A node takes longer
// to update a mounted ConfigMap or Secret.
//
// Source: controller-runtime v0.25.2 pkg/certwatcher, which reads Files as often.
const readEvery = 10 * time.Second

// Callers holds the CAs that callers' certificates must come from. They are in a
// PEM file, which is read again when it changes (TestCallersAreReloaded).
type Callers struct {
	file string
	log  logr.Logger
	pem  []byte // of the last reading; only read uses it
	pool atomic.Pointer[x509.CertPool]
}

// NewCallers reads the file for the first time. Without a file, everyone may call.
func NewCallers(file string, log logr.Logger) (*Callers, error) {
	c := &Callers{file: file, log: log}
	if file == "" {
		return c, nil
	}

	return c, c.read()
}

// SetupWithManager makes a manager read the file again when it changes.
func (c *Callers) SetupWithManager(m manager.Manager) error {
	if c.file == "" {
		return nil
	}

	return m.Add(manager.RunnableFunc(func(ctx context.Context) error {
		c.follow(ctx)

		return nil
	}))
}

// Require makes a server refuse all other callers. Each handshake is judged by
// the CAs of that moment. A connection stays as it is when the CAs change.
func (c *Callers) Require(t *tls.Config) {
	if c.file == "" {
		return
	}

	t.ClientAuth = tls.RequireAndVerifyClientCert
	t.ClientCAs = c.pool.Load()
	t.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := t.Clone()
		now.ClientCAs = c.pool.Load()

		return now, nil
	}
}

func (c *Callers) follow(ctx context.Context) {
	wait.UntilWithContext(ctx, func(context.Context) {
		if err := c.read(); err != nil {
			c.log.Error(err, "the CAs of callers stay as they were")
		}
	}, readEvery)
}

// read keeps the CAs that it has if the file holds none.
func (c *Callers) read() error {
	pem, err := os.ReadFile(c.file)
	if err != nil {
		return fmt.Errorf("cannot read --client-ca-file: %w", err)
	}

	if bytes.Equal(pem, c.pem) {
		return nil
	}

	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("cannot read --client-ca-file %q: %w", c.file, errors.New("it holds no PEM certificate"))
	}

	c.pem = pem
	c.pool.Store(pool)
	c.log.Info("callers need a certificate", "file", c.file)

	return nil
}
