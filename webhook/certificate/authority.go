// Package certificate gives the webhook server its certificate, and the API server
// the means to trust it. There are two ways:
//
//   - Authority: Telltale is its own authority. Its CA lives in a Secret that
//     all replicas share, serving certificates in memory, and the caBundle of
//     the MutatingWebhookConfiguration is kept right, and put right again within
//     seconds when something overwrites it (TestCABundle). While a CA rotates,
//     the caBundle holds the old and the new, and no replica serves under the
//     new one before API servers trust it (TestRotation).
//   - Files: certificates that somebody else writes, cert-manager for one, are
//     read from a folder, and read again when they change.
//
// Expiration is the metric of either.
package certificate

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

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
	// WebhookConfiguration names the MutatingWebhookConfiguration with the
	// caBundle that is kept right. Required.
	WebhookConfiguration string
	// DNSNames are those that the API server calls us by. Required.
	DNSNames []string
	// CADuration is how long a CA is valid; a new one is made after two thirds
	// of it. Default: 365 days.
	CADuration time.Duration
	// LeafDuration is how long a serving certificate is valid; likewise. It
	// must be less than CADuration. Default: 7 days.
	LeafDuration time.Duration
	// Propagation is how long a CA must have been in the caBundle before a
	// certificate of it replaces another: API servers hear of a caBundle by a
	// watch, mostly within milliseconds, each for itself. Default: 5 s.
	Propagation time.Duration
	// Log takes what the authority does.
	Log logr.Logger
}

func (o Options) withDefaults() Options {
	o.CADuration = cmp.Or(o.CADuration, 365*24*time.Hour)
	o.LeafDuration = cmp.Or(o.LeafDuration, 7*24*time.Hour)
	o.Propagation = cmp.Or(o.Propagation, 5*time.Second)

	return o
}

// errNoCertificate is what a readiness check says before there is one.
var errNoCertificate = errors.New("no serving certificate yet")

// Authority signs the serving certificate itself.
type Authority struct {
	options Options
	ca      *authority.DynamicAuthority
	serving atomic.Pointer[leaf]

	// Of the controller, which has one worker.
	trusted trust
}

// NewAuthority returns an Authority that does nothing before the manager it is
// added to starts.
func NewAuthority(cfg *rest.Config, o Options) *Authority {
	o = o.withDefaults()

	return &Authority{
		options: o,
		ca: &authority.DynamicAuthority{
			SecretNamespace: o.Namespace,
			SecretName:      o.Secret,
			SecretLabels:    map[string]string{"app.kubernetes.io/managed-by": "telltale"},
			RESTConfig:      cfg,
			CommonName:      commonName,
			CADuration:      o.CADuration,
		},
		trusted: trust{},
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

// SetupWithManager adds the authority, which makes the CA, and the controller
// of the caBundle and the serving certificate to a manager. The manager's cache
// must be limited by CacheByObject, or it needs rights that Telltale does not
// have.
func (a *Authority) SetupWithManager(m manager.Manager) error {
	err := m.Add(manager.RunnableFunc(func(ctx context.Context) error {
		return a.ca.Run(logr.NewContext(ctx, a.options.Log))
	}))
	if err != nil {
		return fmt.Errorf("cannot set up the certificate authority: %w", err)
	}

	return a.control(m)
}

// GetCertificate is for tls.Config.
func (a *Authority) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if l := a.serving.Load(); l != nil {
		return l.certificate, nil
	}

	return nil, errNoCertificate
}

// Check is a readiness check: nil once there is a certificate to serve, which
// there is when the caBundle trusts its CA.
func (a *Authority) Check(*http.Request) error {
	if a.serving.Load() == nil {
		return fmt.Errorf("%w: there must be a CA in Secret %q of namespace %q, and in the caBundle of MutatingWebhookConfiguration %q",
			errNoCertificate, a.options.Secret, a.options.Namespace, a.options.WebhookConfiguration)
	}

	return nil
}
