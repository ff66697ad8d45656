package certificate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"time"
)

// leaf is a serving certificate, and the CA that signed it.
type leaf struct {
	certificate *tls.Certificate
	ca          *x509.Certificate
}

// newLeaf signs a serving certificate. It is valid from a moment ago, because
// clocks differ: 5 minutes, as with Kubernetes's own signer, or a tenth of its
// duration if that is less. It does not outlive its CA.
//
// Source: k8s.io/kubernetes v1.37.2
// pkg/controller/certificates/signer/signer.go (backdate).
func newLeaf(ca *tls.Certificate, names []string, duration time.Duration, now time.Time) (*leaf, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make the key of a serving certificate: %w", err)
	}

	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: names[0]},
		DNSNames:    names,
		NotBefore:   now.Add(-min(5*time.Minute, duration/10)),
		NotAfter:    earlier(now.Add(duration), ca.Leaf.NotAfter),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}

	certificate, err := sign(template, ca, key)
	if err != nil {
		return nil, fmt.Errorf("cannot sign a serving certificate for %q: %w", names, err)
	}

	return &leaf{certificate, ca.Leaf}, nil
}

func sign(template *x509.Certificate, ca *tls.Certificate, key crypto.Signer) (*tls.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Leaf, key.Public(), ca.PrivateKey)
	if err != nil {
		return nil, err
	}

	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}

	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: parsed}, nil
}

// due is true if another certificate should be served: there is none, or it
// comes from another CA, or two thirds of its time have passed.
func (l *leaf) due(ca *tls.Certificate, now time.Time) bool {
	if l == nil || !l.ca.Equal(ca.Leaf) {
		return true
	}

	cert := l.certificate.Leaf

	return now.After(cert.NotAfter.Add(-cert.NotAfter.Sub(cert.NotBefore) / 3))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}

	return b
}
