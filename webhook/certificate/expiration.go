package certificate

import (
	"crypto/tls"

	"github.com/prometheus/client_golang/prometheus"
)

// Expiration returns a metric: when the certificate that get returns expires,
// in seconds since 1970, as Prometheus counts time. It is 0 if there is none.
// An Authority renews its certificate when a third of its time is left; so does
// cert-manager by default.
func Expiration(get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "telltale_certificate_expiration_timestamp_seconds",
		Help: "When the serving certificate expires, in seconds since 1970; 0 without one.",
	}, func() float64 {
		certificate, err := get(&tls.ClientHelloInfo{})
		if err != nil || certificate.Leaf == nil {
			return 0
		}

		return float64(certificate.Leaf.NotAfter.Unix())
	})
}
