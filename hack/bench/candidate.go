package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/test/child"
	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/telltale"
)

// The candidates.
const (
	limit    = "limit"
	floor    = "floor"
	constant = "constant"
	textbook = "textbook"
	subject  = "telltale"
)

// candidate is a server that is measured, in its own process.
type candidate struct {
	name, address string
	ca            []byte // PEM; the API server trusts it
	process       *child.Process
	replica       *telltale.Replica // only Telltale has one
}

func (c *candidate) pid() int { return c.process.PID() }

// stop ends the process, if it was started.
func (c *candidate) stop() {
	if c != nil {
		c.process.Kill()
	}
}

// startOwn starts this program again as a candidate.
func startOwn(ctx context.Context, dir, name string) (*candidate, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find this program: %w", err)
	}
	c := &candidate{name: name}
	if c.address, err = controlplane.FreeAddress(); err != nil {
		return nil, err
	}
	certificate, key := filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	if c.ca, err = writeCertificate(certificate, key); err != nil {
		return nil, err
	}
	c.process, err = child.Start(exec.Command(self, "serve", name, c.address, certificate, key), filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, err
	}

	return c, c.process.WaitUntil(ctx, child.Patience, func(context.Context) error { return listens(c.address) })
}

// writeCertificate writes a certificate for localhost and its key. Both are of
// the kind that Telltale's own authority makes: ECDSA with P-384.
//
// Source: cert-manager v1.21.2 pkg/server/tls/dynamic_source.go.
func writeCertificate(certificate, key string) ([]byte, error) {
	private, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate: %w", err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("cannot encode a key: %w", err)
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(certificate, ca, 0o600); err != nil {
		return nil, fmt.Errorf("cannot write a certificate: %w", err)
	}
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privateDER}), 0o600); err != nil {
		return nil, fmt.Errorf("cannot write a key: %w", err)
	}

	return ca, nil
}

// newTelltale is Telltale as it will be started: with the rights of config/,
// and its own authority.
func newTelltale(o options, dir string, config *rest.Config) (*candidate, error) {
	replica, err := telltale.New(telltale.Options{Program: o.telltale, Config: config, Dir: dir})
	if err != nil {
		return nil, err
	}

	return &candidate{name: subject, address: net.JoinHostPort("127.0.0.1", replica.Port), replica: replica}, nil
}

// start starts Telltale, and returns how long it took to be ready.
func (c *candidate) start(ctx context.Context) (took time.Duration, err error) {
	r := c.replica
	start := time.Now()
	if err := r.Start(); err != nil {
		return 0, err
	}
	c.process = r.Process
	const poll = 20 * time.Millisecond // each look is a TLS handshake, and Telltale does half of its work
	for r.State() == nil && time.Since(start) < child.Patience && r.Ready(ctx) != nil {
		time.Sleep(poll)
	}
	took = time.Since(start)

	// It is ready, or this says why it is not.
	return took, r.WaitUntil(ctx, child.Patience, r.Ready)
}

// waitQuiet waits until Telltale is quiet and has given back the memory of its
// start. It does so 3 s after the start.
func (c *candidate) waitQuiet() error {
	time.Sleep(4 * time.Second)

	return c.quiet()
}

// quiet waits until the process has used next to no CPU for half a second.
func (c *candidate) quiet() error {
	const interval, little = 500 * time.Millisecond, 5 * time.Millisecond
	for start := time.Now(); time.Since(start) < child.Patience; {
		before, err := child.CPU(c.pid())
		if err != nil {
			return err
		}
		time.Sleep(interval)
		after, err := child.CPU(c.pid())
		if err != nil {
			return err
		}
		if after-before < little {
			return nil
		}
	}

	return fmt.Errorf("cannot wait for %s to be idle: still busy after %v", c.name, child.Patience)
}
