package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/telltale-dev/telltale/test/child"
	"github.com/telltale-dev/telltale/test/controlplane"
)

// The candidates.
const (
	limit    = "limit"
	floor    = "floor"
	constant = "constant"
	textbook = "textbook"
	telltale = "telltale"
)

// patience bounds every wait for something to be ready.
const patience = 2 * time.Minute

// candidate is a server that is measured, in a process of its own.
type candidate struct {
	name, address string
	ca            []byte // PEM; by which the API server knows it
	process       *child.Process

	command *exec.Cmd // of Telltale
	health  string    // of Telltale
	log     string
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

	return c, c.process.WaitUntil(ctx, patience, func(context.Context) error { return listens(c.address) })
}

// writeCertificate writes a certificate for localhost and its key, of the kind
// that Telltale's own authority makes: ECDSA with P-384.
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
func newTelltale(o options, dir, kubeconfig string) (*candidate, error) {
	c := &candidate{name: telltale, log: filepath.Join(dir, "telltale.log")}
	var addresses [3]string
	for i := range addresses {
		var err error
		if addresses[i], err = controlplane.FreeAddress(); err != nil {
			return nil, err
		}
	}
	c.address, c.health = addresses[0], addresses[1]
	c.command = exec.Command(o.telltale,
		"--kubeconfig="+kubeconfig, "--dns-names=localhost", "--webhook-port="+port(c.address),
		"--health-probe-bind-address="+c.health, "--metrics-bind-address="+addresses[2])

	return c, nil
}

// start starts Telltale, and returns how long it took to be ready.
func (c *candidate) start(ctx context.Context) (took time.Duration, err error) {
	command := exec.Command(c.command.Path, c.command.Args[1:]...)
	start := time.Now()
	if c.process, err = child.Start(command, c.log); err != nil {
		return 0, err
	}
	const poll = 20 * time.Millisecond // each look is a TLS handshake, which Telltale pays for twice
	for c.process.State() == nil && time.Since(start) < patience && c.ready(ctx) != nil {
		time.Sleep(poll)
	}
	took = time.Since(start)

	// It is ready, or this says why it is not.
	return took, c.process.WaitUntil(ctx, time.Second, c.ready)
}

func (c *candidate) ready(ctx context.Context) error {
	_, err := get(ctx, "http://"+c.health+"/readyz")

	return err
}

// settled waits until Telltale has given back what its start took, which it
// does 3 s after it, and is quiet.
func (c *candidate) settled() error {
	time.Sleep(4 * time.Second)

	return c.quiet()
}

// quiet waits until the process does next to nothing for half a second.
func (c *candidate) quiet() error {
	const interval, little = 500 * time.Millisecond, 5 * time.Millisecond
	for start := time.Now(); time.Since(start) < patience; {
		before, err := cpu(c.pid())
		if err != nil {
			return err
		}
		time.Sleep(interval)
		after, err := cpu(c.pid())
		if err != nil {
			return err
		}
		if after-before < little {
			return nil
		}
	}

	return fmt.Errorf("cannot wait for %s to be idle: still busy after %v", c.name, patience)
}

func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", url, response.Status, body.String())
	}

	return body.Bytes(), nil
}
