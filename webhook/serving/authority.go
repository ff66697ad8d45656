// Package serving gives the webhook server its certificate, and the API server
// the means to trust it. There are two ways:
//
//   - Authority: Telltale is its own authority. Its CA lives in a Secret that
//     all replicas share, leaf certificates in memory, and the caBundle of the
//     MutatingWebhookConfiguration is kept right, and put right again within
//     seconds when something overwrites it (TestCABundle).
//   - Files: certificates that somebody else writes, cert-manager for one, are
//     read from a folder, and read again when they change.
package serving

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	cmtls "github.com/cert-manager/cert-manager/pkg/server/tls"
	"github.com/cert-manager/cert-manager/pkg/server/tls/authority"
	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// commonName is that of our CAs. It tells one of ours, in a caBundle, from
// anybody else's.
const commonName = "telltale-ca"

// Options say where an Authority keeps its CA, and for whom.
type Options struct {
	// Namespace and Secret name the Secret that holds the CA. Required.
	Namespace, Secret string
	// WebhookConfiguration names the MutatingWebhookConfiguration whose
	// caBundle is kept right. Required.
	WebhookConfiguration string
	// DNSNames are those that the API server calls us by. Required.
	DNSNames []string
	// CADuration is how long a CA is valid; a new one is made after two thirds
	// of it. Default: 365 days.
	CADuration time.Duration
	// LeafDuration is how long a serving certificate is valid; likewise. It
	// must be less than CADuration. Default: 7 days.
	LeafDuration time.Duration
	// Log takes what the authority does.
	Log logr.Logger
}

// errNoCertificate is what a readiness check says before there is one.
var errNoCertificate = errors.New("no serving certificate yet")

// Authority signs the serving certificate itself.
type Authority struct {
	options Options
	source  *cmtls.DynamicSource
}

// NewAuthority returns an Authority that does nothing before the manager it is
// added to starts.
func NewAuthority(cfg *rest.Config, o Options) *Authority {
	return &Authority{
		options: o,
		source: &cmtls.DynamicSource{
			DNSNames: o.DNSNames,
			Authority: &authority.DynamicAuthority{
				SecretNamespace: o.Namespace,
				SecretName:      o.Secret,
				SecretLabels:    map[string]string{"app.kubernetes.io/managed-by": "telltale"},
				RESTConfig:      cfg,
				CommonName:      commonName,
				CADuration:      o.CADuration,
				LeafDuration:    o.LeafDuration,
			},
		},
	}
}

// CacheByObject limits what a manager's cache watches to the two objects an
// Authority needs.
func CacheByObject(o Options) map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&corev1.Secret{}: {
			Namespaces: map[string]cache.Config{o.Namespace: {}},
			Field:      fields.OneTermEqualSelector("metadata.name", o.Secret),
		},
		&admissionv1.MutatingWebhookConfiguration{}: {
			Field: fields.OneTermEqualSelector("metadata.name", o.WebhookConfiguration),
		},
	}
}

// SetupWithManager adds the authority and the controller of the caBundle to a
// manager. The manager's cache must be limited by CacheByObject, or it needs
// rights that Telltale does not have.
func (a *Authority) SetupWithManager(m manager.Manager) error {
	err := m.Add(manager.RunnableFunc(func(ctx context.Context) error {
		return a.source.Start(logr.NewContext(ctx, a.options.Log))
	}))
	if err != nil {
		return fmt.Errorf("cannot set up the certificate authority: %w", err)
	}

	return a.keepCABundle(m)
}

// GetCertificate is for tls.Config.
func (a *Authority) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return a.source.GetCertificate(hello)
}

// Check is a readiness check: nil once there is a certificate to serve.
func (a *Authority) Check(*http.Request) error {
	if !a.source.Healthy() {
		return errNoCertificate
	}

	return nil
}
