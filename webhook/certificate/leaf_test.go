package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
)

// keyPair is newCA, to sign with.
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
		from, til time.Duration // from now
	}{
		"Week":       {"As by default: an API server whose clock is behind takes it at once.", 1, week, -5 * time.Minute, week},
		"Short":      {"What is valid for seconds is not mostly of the past.", 1, 20 * time.Second, -2 * time.Second, 20 * time.Second},
		"CANearsEnd": {"It ends with its CA.", 363, week, -5 * time.Minute, 2 * 24 * time.Hour},
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

// TestRenew tells an Authority the time: it serves a new certificate when that
// is due and not before API servers know its CA from the caBundle.
func TestRenew(t *testing.T) {
	old, current := keyPair(t, 30), keyPair(t, 0)
	hour := at().Add(time.Hour)
	both := append(encodePEM(old.Leaf), encodePEM(current.Leaf)...)

	cases := map[string]struct {
		reason  string
		serving *tls.Certificate // CA of what is served since at
		ca      *tls.Certificate
		bundle  []byte        // since an hour after at
		after   time.Duration // that hour
		renewed bool
		again   time.Duration
	}{
		"NoCA":         {"Nothing to sign with.", nil, nil, both, 0, false, lookEvery},
		"Untrusted":    {"Ready is to be trusted.", nil, current, encodePEM(old.Leaf), 0, false, lookEvery},
		"First":        {"Nobody has anything else to wait with.", nil, current, both, 0, true, lookEvery},
		"Fresh":        {"Not due.", old, old, both, 0, false, lookEvery},
		"TwoThirds":    {"Due.", old, old, both, 5 * 24 * time.Hour, true, lookEvery},
		"Rotated":      {"In the caBundle for 3 s: not every API server may know.", old, current, both, 3 * time.Second, false, 2 * time.Second},
		"Propagated":   {"Now they do.", old, current, both, 5 * time.Second, true, lookEvery},
		"NotPatched":   {"It may not write the caBundle: the old certificate still works.", old, current, encodePEM(old.Leaf), time.Hour, false, lookEvery},
		"Expired":      {"What has expired is not worth keeping.", old, current, both, 8 * 24 * time.Hour, true, lookEvery},
		"NeverPatched": {"Nothing can be worse than expired, but untrusted is no better.", old, current, encodePEM(old.Leaf), 8 * 24 * time.Hour, false, lookEvery},
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
		one, two time.Duration // trusted for, at this step; negative for not
	}{
		{"Nothing yet.", nil, -1, -1},
		{"Seen for the first time.", [][]byte{append(onePEM, onePEM...)}, 0, -1},
		{"Seen again.", [][]byte{append(onePEM, twoPEM...)}, time.Minute, 0},
		{"Two webhooks, and only one of them trusts both.", [][]byte{append(onePEM, twoPEM...), onePEM}, 2 * time.Minute, -1},
		{"Emptied: whatever comes now is new.", [][]byte{nil, nil}, -1, -1},
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
				t.Errorf("%d: %s That of %s is trusted in %v", i, step.reason, c.ca.NotBefore, left)
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
