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

// host is what the API server calls.
const host = "telltale-webhook.telltale-system.svc"

// at is when these tests take place.
func at() time.Time { return time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC) }

// newCA returns a CA certificate of a name, made a number of days before now, valid for
// a year, and its key.
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
		"Right":    {reason: "Nothing to do.", now: currentPEM, serving: current, want: currentPEM},
		"Rotation": {reason: "Old and new while replicas change over.", now: previous, serving: previousCert, want: join(currentPEM, previous)},
		"Rotated":  {reason: "The same, the second time: replicas don't fight.", now: join(currentPEM, previous), serving: current, want: join(currentPEM, previous)},
		"Again": {
			reason: "Two rotations at once: each replica adds what it serves under, and the other keeps it.",
			now:    join(currentPEM, previous), serving: olderCert, want: join(currentPEM, previous, older),
		},
		"AgainOther": {
			reason: "The other replica.",
			now:    join(currentPEM, previous, older), serving: previousCert, want: join(currentPEM, previous, older),
		},
		"Twins":    {reason: "Made in the same second: still one order for all.", now: twin, serving: previousCert, want: join(currentPEM, twins)},
		"Emptied":  {reason: "Emptied while it rotates: what is served is trusted all the same.", serving: previousCert, want: join(currentPEM, previous)},
		"TooMany":  {reason: "The oldest goes, even where a replica serves under it: no fight without end.", now: join(twins, older), serving: oldestCert, want: join(currentPEM, twins, older)},
		"Expired":  {reason: "An expired one goes.", now: join(expired, currentPEM), serving: expiredCert, want: currentPEM},
		"Repeated": {reason: "None twice.", now: join(older, older, currentPEM, currentPEM), want: join(currentPEM, older)},
		"Foreign":  {reason: "So does what is not ours.", now: join(foreign, []byte("rubbish\n"), other, oldest), want: join(currentPEM, oldest)},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := bundle(c.now, current, c.serving, at())
			if !bytes.Equal(got, c.want) {
				t.Errorf("%s got\n%s want\n%s", c.reason, got, c.want)
			}

			if again := bundle(got, current, c.serving, at()); !bytes.Equal(again, got) {
				t.Errorf("%s the second time it is\n%s not\n%s", c.reason, again, got)
			}
		})
	}
}
