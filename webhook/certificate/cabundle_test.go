package certificate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

// host is the name that the API server calls.
const host = "telltale-webhook.telltale-system.svc"

// at is the time of these tests.
func at() time.Time { return time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC) }

// newCA returns a CA certificate with this name, and its key. It was made a
// number of days before now, and is valid for a year.
func newCA(t *testing.T, now time.Time, name string, daysAgo int) ([]byte, *x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	from := now.AddDate(0, 0, -daysAgo)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(daysAgo)), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: from, NotAfter: from.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}

	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}

	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}

	return encodePEM(cert), cert, key
}

func TestBundle(t *testing.T) {
	ca := func(name string, daysAgo int) ([]byte, *x509.Certificate) {
		encoded, cert, _ := newCA(t, at(), name, daysAgo)

		return encoded, cert
	}
	currentPEM, current := ca(commonName, 0)
	previous, previousCert := ca(commonName, 30)
	twin, twinCert := ca(commonName, 30)
	older, olderCert := ca(commonName, 60)
	oldest, oldestCert := ca(commonName, 90)
	expired, expiredCert := ca(commonName, 400)
	foreign, _ := ca("somebody else", 1)
	other := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

	twins := join(previous, twin)
	if bytes.Compare(previousCert.Raw, twinCert.Raw) > 0 {
		twins = join(twin, previous)
	}

	cases := map[string]struct {
		reason  string
		now     []byte
		serving *x509.Certificate
		want    []byte
	}{
		"Empty":    {reason: "Fresh install.", want: currentPEM},
		"Right":    {reason: "The caBundle is right already.", now: currentPEM, serving: current, want: currentPEM},
		"Rotation": {reason: "The old CA and the new one are trusted while replicas change over.", now: previous, serving: previousCert, want: join(currentPEM, previous)},
		"Rotated":  {reason: "The second time the result is the same: replicas don't fight.", now: join(currentPEM, previous), serving: current, want: join(currentPEM, previous)},
		"Again": {
			reason: "Two rotations at once: each replica adds the CA that it serves under, and the other keeps it.",
			now:    join(currentPEM, previous), serving: olderCert, want: join(currentPEM, previous, older),
		},
		"AgainOther": {
			reason: "The other replica comes to the same.",
			now:    join(currentPEM, previous, older), serving: previousCert, want: join(currentPEM, previous, older),
		},
		"Twins":    {reason: "CAs of the same second have one order, too.", now: twin, serving: previousCert, want: join(currentPEM, twins)},
		"Emptied":  {reason: "The caBundle is emptied while the CA rotates, and the CA in use is trusted again.", serving: previousCert, want: join(currentPEM, previous)},
		"TooMany":  {reason: "The oldest is dropped, even if a replica serves under it: replicas must not fight without end.", now: join(twins, older), serving: oldestCert, want: join(currentPEM, twins, older)},
		"Expired":  {reason: "An expired CA is dropped.", now: join(expired, currentPEM), serving: expiredCert, want: currentPEM},
		"Repeated": {reason: "None twice.", now: join(older, older, currentPEM, currentPEM), want: join(currentPEM, older)},
		"Foreign":  {reason: "A CA that is not ours is dropped.", now: join(foreign, []byte("rubbish\n"), other, oldest), want: join(currentPEM, oldest)},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := bundle(c.now, current, c.serving, at())
			if !bytes.Equal(got, c.want) {
				t.Errorf("%s got\n%s want\n%s", c.reason, got, c.want)
			}

			if again := bundle(got, current, c.serving, at()); !bytes.Equal(again, got) {
				t.Errorf("%s The second time it is\n%s not\n%s", c.reason, again, got)
			}
		})
	}
}
