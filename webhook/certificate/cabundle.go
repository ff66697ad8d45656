package certificate

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// maxPrevious is how many earlier CAs a caBundle keeps: those that replicas may
// still serve under, and some more, because a CA may change several times
// before all API servers know a caBundle.
const maxPrevious = 3

// putRight writes the caBundle if it is not right.
func (a *Authority) putRight(
	ctx context.Context, c client.Client, configuration *admissionv1.MutatingWebhookConfiguration, ca *tls.Certificate, now time.Time,
) error {
	if ca == nil {
		return nil
	}

	before := configuration.DeepCopy()
	changed := false

	var serving *x509.Certificate
	if l := a.serving.Load(); l != nil {
		serving = l.ca
	}

	for i := range configuration.Webhooks {
		config := &configuration.Webhooks[i].ClientConfig
		if want := bundle(config.CABundle, ca.Leaf, serving, now); !bytes.Equal(config.CABundle, want) {
			config.CABundle, changed = want, true
		}
	}

	if !changed {
		return nil
	}

	a.options.Log.Info("putting the caBundle right", "name", configuration.Name)

	// A strategic merge patch changes the caBundle of these webhooks and
	// nothing else, even during another edit of the configuration.
	if err := c.Patch(ctx, configuration, client.StrategicMergeFrom(before)); err != nil {
		return fmt.Errorf("cannot write the caBundle of MutatingWebhookConfiguration %q: %w", configuration.Name, err)
	}

	return nil
}

// bundle returns the right caBundle. It holds our CA and the newest earlier
// ones that are still valid. The earlier ones come from the caBundle of now,
// and from this replica, which may serve under one (nil for none). So, while a
// CA rotates, API servers trust replicas under the old one and under the new
// one. All else is dropped. Replicas that serve under different CAs come to the
// same caBundle, because each adds its own.
func bundle(now []byte, ca, serving *x509.Certificate, at time.Time) []byte {
	previous := certificates(now)
	if serving != nil {
		previous = append(previous, serving)
	}

	previous = slices.DeleteFunc(previous, func(cert *x509.Certificate) bool { return !ours(cert, at) || cert.Equal(ca) })
	slices.SortFunc(previous, func(a, b *x509.Certificate) int {
		return cmp.Or(b.NotBefore.Compare(a.NotBefore), bytes.Compare(a.Raw, b.Raw))
	})
	previous = slices.CompactFunc(previous, (*x509.Certificate).Equal)

	result := encodePEM(ca)
	for _, cert := range previous[:min(len(previous), maxPrevious)] {
		result = append(result, encodePEM(cert)...)
	}

	return result
}

// ours is true for a CA that an Authority made, and that has not expired.
func ours(cert *x509.Certificate, at time.Time) bool {
	return cert.IsCA && cert.Subject.CommonName == commonName && !at.After(cert.NotAfter)
}

// bundles returns the caBundles of a configuration's webhooks.
func bundles(configuration *admissionv1.MutatingWebhookConfiguration) [][]byte {
	all := make([][]byte, len(configuration.Webhooks))
	for i := range configuration.Webhooks {
		all[i] = configuration.Webhooks[i].ClientConfig.CABundle
	}

	return all
}

// certificates returns the certificates in a caBundle; all else is left out.
func certificates(bundle []byte) (found []*x509.Certificate) {
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			found = append(found, cert)
		}
	}

	return found
}

func encodePEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}
