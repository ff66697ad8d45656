package canary

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
)

// maxTargets is how many addresses are tried.
const maxTargets = 10

// greetAll makes a handshake with each target, as the API server does, and returns
// the first finding; an empty one if all are well.
func greetAll(ctx context.Context, all []target, r registration) finding {
	ctx, cancel := context.WithTimeout(ctx, r.patience())
	defer cancel()

	all = all[:min(len(all), maxTargets)]
	found := make([]finding, len(all))

	var greeting sync.WaitGroup
	for i, to := range all {
		greeting.Go(func() { found[i] = r.explain(to, greet(ctx, to, r.ClientConfig.CABundle)) })
	}

	greeting.Wait()

	for _, f := range found {
		if f.Result != "" {
			return f
		}
	}

	return finding{}
}

// errNoCA is the error for a caBundle without a certificate.
var errNoCA = errors.New("holds no certificate")

// greet makes a TLS handshake. Without a caBundle, the CAs of the machine count. If
// the server wants a certificate of the caller (--client-ca-file), it is well all the
// same: its own was verified before.
func greet(ctx context.Context, to target, caBundle []byte) error {
	verified := false
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: to.name, NextProtos: []string{"http/1.1"},
		VerifyConnection: func(tls.ConnectionState) error { verified = true; return nil },
	}

	if len(caBundle) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(caBundle) {
			return errNoCA
		}
	}

	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", to.address)
	if err == nil {
		return conn.Close()
	}

	if verified && ctx.Err() == nil {
		return nil
	}

	return err
}

// explain turns the error of a handshake into a finding.
func (r registration) explain(to target, err error) finding {
	var (
		netErr      net.Error
		op          *net.OpError
		certificate *tls.CertificateVerificationError
		noTLS       tls.RecordHeaderError
	)

	bundle := fmt.Sprintf("caBundle of mutatingwebhookconfiguration/%s", r.name)

	switch {
	case err == nil:
		return finding{}
	case errors.Is(err, errNoCA):
		return finding{Certificate, bundle + " holds no certificate." + cureCertificate}
	case errors.As(err, &certificate) && len(r.ClientConfig.CABundle) == 0:
		return finding{Certificate, bundle + " is empty." + cureCertificate}
	case errors.As(err, &certificate):
		return finding{Certificate, fmt.Sprintf("The certificate of %s %s.%s", to.address, distrust(certificate.Err, to.name, bundle), cureCertificate)}
	case errors.As(err, &noTLS):
		return finding{Misdirected, fmt.Sprintf("%s answers, but not as Telltale does. Correct the address in mutatingwebhookconfiguration/%s.", to.address, r.name)}
	case errors.As(err, &netErr) && netErr.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return finding{Timeout, fmt.Sprintf("%s does not answer. See Telltale's pods: do they hang, or is their node gone?", to.address)}
	case errors.As(err, &op) && op.Op == "dial":
		return finding{Refused, fmt.Sprintf("No connection to %s: %s. See Telltale's pods: does one listen on this port?", to.address, last(err))}
	default:
		return finding{Refused, fmt.Sprintf("The connection to %s ends in its handshake. See Telltale's pods and log.", to.address)}
	}
}

// cureCertificate follows a finding about the certificate.
const cureCertificate = " Telltale's log says why it can't put that right; with cert-manager: kubectl describe certificate."

// distrust says why a certificate is not trusted, without the time of now.
func distrust(err error, name, bundle string) string {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
	)

	switch {
	case errors.As(err, &unknown):
		return "is not of a CA in " + bundle
	case errors.As(err, &hostname):
		return "is not for " + name
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "has expired, or is not valid yet"
	default:
		return "can't be trusted: " + err.Error()
	}
}

// last is the innermost error: the others name addresses that change.
func last(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}

		err = inner
	}
}
