package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
)

// keyPair makes a CA with newCA, to sign with.
func keyPair(t *testing.T, daysAgo int) *tls.Certificate {
	t.Helper()

	_, cert, key := newCA(t, at(), commonName, daysAgo)

	return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

func TestNewLeaf(t *testing.T) {
	const week = 7 * 24 * time.Hour

	cases := map[string]struct {
		reason    string
		daysAgo   int // the CA was made; it is valid for a year
		duration  time.Duration
		from, til time.Duration // relative to now
	}{
		"Week":       {"The default: if an API server's clock is behind, it trusts the certificate at once, too.", 1, week, -5 * time.Minute, week},
		"Short":      {"A certificate for seconds must not spend most of them in the past.", 1, 20 * time.Second, -2 * time.Second, 20 * time.Second},
		"CANearsEnd": {"A certificate ends with its CA.", 363, week, -5 * time.Minute, 2 * 24 * time.Hour},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			ca := keyPair(t, c.daysAgo)

			l, err := newLeaf(ca, []string{host}, c.duration, at())
			if err != nil {
				t.Fatal(err)
			}

			cert := l.certificate.Leaf
			if from, til := cert.NotBefore.Sub(at()), cert.NotAfter.Sub(at()); from != c.from || til != c.til {
				t.Errorf("%s It is valid from %v to %v", c.reason, from, til)
			}

			roots := x509.NewCertPool()
			roots.AddCert(ca.Leaf)

			if _, err := cert.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: at()}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRenew tells an Authority the time. It serves a new certificate when one
// is due, and not before the CA has been in the caBundle for long enough.
func TestRenew(t *testing.T) {
	old, current := keyPair(t, 30), keyPair(t, 0)
	hour := at().Add(time.Hour)
	both := append(encodePEM(old.Leaf), encodePEM(current.Leaf)...)

	cases := map[string]struct {
		reason  string
		serving *tls.Certificate // the CA of the certificate that is served since at
		ca      *tls.Certificate
		bundle  []byte        // the caBundle since an hour after at
		after   time.Duration // time since that hour
		renewed bool
		again   time.Duration
	}{
		"NoCA":         {"There is no CA to sign with.", nil, nil, both, 0, false, lookEvery},
		"Untrusted":    {"The first certificate needs a CA that is trusted.", nil, current, encodePEM(old.Leaf), 0, false, lookEvery},
		"First":        {"Without a certificate to serve meanwhile, waiting is no use.", nil, current, both, 0, true, lookEvery},
		"Fresh":        {"Not due.", old, old, both, 0, false, lookEvery},
		"TwoThirds":    {"Due.", old, old, both, 5 * 24 * time.Hour, true, lookEvery},
		"Rotated":      {"The CA is in the caBundle for 3 s: some API servers may not know it yet.", old, current, both, 3 * time.Second, false, 2 * time.Second},
		"Propagated":   {"Now all API servers know it.", old, current, both, 5 * time.Second, true, lookEvery},
		"NotPatched":   {"If Telltale may not write the caBundle, the old certificate still works.", old, current, encodePEM(old.Leaf), time.Hour, false, lookEvery},
		"Expired":      {"An expired certificate is not worth keeping.", old, current, both, 8 * 24 * time.Hour, true, lookEvery},
		"NeverPatched": {"An expired certificate is useless, but so is an untrusted one.", old, current, encodePEM(old.Leaf), 8 * 24 * time.Hour, false, lookEvery},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			a := NewAuthority(nil, Options{DNSNames: []string{host}, Log: logr.Discard()})

			if c.serving != nil {
				l, err := newLeaf(c.serving, []string{host}, a.options.LeafDuration, at())
				if err != nil {
					t.Fatal(err)
				}

				a.serving.Store(l)
			}

			before := a.serving.Load()
			a.trusted.see([][]byte{c.bundle}, hour)

			again, err := a.renew(c.ca, hour.Add(c.after))
			if err != nil {
				t.Fatal(err)
			}

			if renewed := a.serving.Load() != before; renewed != c.renewed || again != c.again {
				t.Errorf("%s renewed: %t, again in %v", c.reason, renewed, again)
			}
		})
	}
}

func TestTrust(t *testing.T) {
	one, two := keyPair(t, 1).Leaf, keyPair(t, 2).Leaf
	onePEM, twoPEM := encodePEM(one), encodePEM(two)
	trusted := trust{}

	for i, step := range []struct {
		reason   string
		bundles  [][]byte
		one, two time.Duration // how long each is trusted at this step; negative if it is not
	}{
		{"Nothing yet.", nil, -1, -1},
		{"Both are seen for the first time.", [][]byte{append(onePEM, onePEM...)}, 0, -1},
		{"Seen again.", [][]byte{append(onePEM, twoPEM...)}, time.Minute, 0},
		{"There are two webhooks, and only one of them trusts both.", [][]byte{append(onePEM, twoPEM...), onePEM}, 2 * time.Minute, -1},
		{"The caBundle is emptied, so any CA that comes now is new.", [][]byte{nil, nil}, -1, -1},
		{"Rubbish is no certificate.", [][]byte{append([]byte("rubbish\n"), twoPEM...), twoPEM}, -1, 0},
		{"The configuration is gone.", nil, -1, -1},
	} {
		now := at().Add(time.Duration(i) * time.Minute)
		trusted.see(step.bundles, now)

		for _, c := range []struct {
			ca   *x509.Certificate
			want time.Duration
		}{{one, step.one}, {two, step.two}} {
			left := trusted.until(c.ca, time.Hour, now)
			if c.want < 0 && left < 2*time.Hour || c.want >= 0 && left != time.Hour-c.want {
				t.Errorf("%d: %s The CA of %s is trusted in %v", i, step.reason, c.ca.NotBefore, left)
			}
		}
	}
}

func TestExpiration(t *testing.T) {
	a := NewAuthority(nil, Options{DNSNames: []string{host}, Log: logr.Discard()})
	registry := prometheus.NewRegistry()
	registry.MustRegister(Expiration(a.GetCertificate))

	metric := func() float64 {
		families, err := registry.Gather()
		if err != nil || len(families) != 1 {
			t.Fatal(families, err)
		}

		return families[0].GetMetric()[0].GetGauge().GetValue()
	}

	if got := metric(); got != 0 {
		t.Errorf("without a certificate it is %v", got)
	}

	ca := keyPair(t, 1)
	a.trusted.see([][]byte{encodePEM(ca.Leaf)}, at())

	if _, err := a.renew(ca, at()); err != nil {
		t.Fatal(err)
	}

	if got, want := metric(), float64(at().Add(7*24*time.Hour).Unix()); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
