package serving

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
	current, _, _ := newCA(t, at(), commonName, 0)
	previous, _, _ := newCA(t, at(), commonName, 30)
	older, _, _ := newCA(t, at(), commonName, 60)
	expired, _, _ := newCA(t, at(), commonName, 400)
	foreign, _, _ := newCA(t, at(), "somebody else", 1)
	other := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

	cases := map[string]struct {
		reason        string
		now, ca, want []byte
	}{
		"Empty":    {"Fresh install.", nil, current, current},
		"Right":    {"Nothing to do.", current, current, current},
		"Rotation": {"Old and new while replicas change over.", previous, current, join(current, previous)},
		"Rotated":  {"The same, the second time: replicas don't fight.", join(current, previous), current, join(current, previous)},
		"Again":    {"Only the newest of the old ones stays.", join(previous, older), current, join(current, previous)},
		"Expired":  {"An expired one goes.", join(expired, current), current, current},
		"Foreign":  {"So does what is not ours.", join(foreign, []byte("rubbish\n"), other), current, current},
		"NoCA":     {"Without a CA we touch nothing.", foreign, nil, foreign},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := bundle(c.now, c.ca, at()); !bytes.Equal(got, c.want) {
				t.Errorf("%s got\n%s want\n%s", c.reason, got, c.want)
			}
		})
	}
}
