package certificate

import (
	"crypto/x509"
	"math"
	"time"
)

// trust holds when API servers were first told of each CA: at the first look at
// which all caBundles of the configuration held it, as they have at each look
// since. The key is the certificate, in DER.
type trust map[string]time.Time

// see looks at the caBundles as they are now.
func (t trust) see(bundles [][]byte, now time.Time) {
	held := map[string]int{}

	for _, bundle := range bundles {
		distinct := map[string]bool{}
		for _, cert := range certificates(bundle) {
			distinct[string(cert.Raw)] = true
		}

		for ca := range distinct {
			held[ca]++
		}
	}

	for ca := range t {
		if held[ca] < len(bundles) || len(bundles) == 0 {
			delete(t, ca)
		}
	}

	for ca, n := range held {
		if _, known := t[ca]; !known && n == len(bundles) {
			t[ca] = now
		}
	}
}

// until is the time until a CA has been trusted for this long. It is zero or
// less if it has been, and without end if the CA is not trusted.
func (t trust) until(ca *x509.Certificate, long time.Duration, now time.Time) time.Duration {
	since, ok := t[string(ca.Raw)]
	if !ok {
		return math.MaxInt64
	}

	return since.Add(long).Sub(now)
}
