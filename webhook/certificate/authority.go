// Package certificate gives the webhook server its certificate, and the API
// server the means to trust it. There are two ways:
//
//   - Authority: Telltale is its own authority. Its CA lives in a Secret that
//     all replicas share; its serving certificates live in memory. The
//     Authority keeps the caBundle of the MutatingWebhookConfiguration right:
//     if something overwrites it, it is right again within seconds
//     (TestCABundle). While a CA rotates, the caBundle holds the old and the
//     new, and no replica serves under the new one before API servers trust it
//     (TestRotation).
//   - Files: something else writes the certificates, for example cert-manager.
//     Telltale reads them from a folder, and reads them again when they change.
//
// Expiration is the metric of both. The other way round, Callers decides which
// callers' certificates the server trusts.
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
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// commonName is the name in our CAs. It tells our CAs in a caBundle from all
// others.
const commonName = "telltale-ca"

// Options say where an Authority keeps its CA, and for which names it signs.
type Options struct {
	// Namespace and Secret name the Secret that holds the CA. Required.
	Namespace, Secret string
	// WebhookConfiguration names the MutatingWebhookConfiguration with the
	// caBundle that the Authority keeps right. Required.
	WebhookConfiguration string
	// DNSNames are the names by which the API server calls us. Required.
	DNSNames []string
	// CADuration is how long a CA is valid; a new one is made after two thirds
	// of it. Default: 365 days.
	CADuration time.Duration
	// LeafDuration is how long a serving certificate is valid; a new one is made
	// after two thirds of it. It must be less than CADuration. Default: 7 days.
	LeafDuration time.Duration
	// Pod is the name of this process's own pod, in Namespace. Its Deployment
	// gets an event when a CA of another name is replaced. Default: no event.
	Pod string
	// Propagation is how long a CA must have been in the caBundle before a
	// replica serves a certificate of it in place of another. Each API server
	// hears of a caBundle by its own watch, mostly within milliseconds. Default:
	// 5 s.
	Propagation time.Duration
	// Log takes the Authority's steps.
	Log logr.Logger
}

func (o Options) withDefaults() Options {
	o.CADuration = cmp.Or(o.CADuration, 365*24*time.Hour)
	o.LeafDuration = cmp.Or(o.LeafDuration, 7*24*time.Hour)
	o.Propagation = cmp.Or(o.Propagation, 5*time.Second)

	return o
}

// errNoCertificate is the answer of a readiness check before there is a
// certificate.
var errNoCertificate = errors.New("no serving certificate yet")

// Authority signs the serving certificate itself.
type Authority struct {
	options Options
	ca      *authority.DynamicAuthority
	serving atomic.Pointer[leaf]

	// Only the controller uses these, and the controller has one worker.
	trusted  trust
	reader   client.Reader // of one pod once, and not a watch of all
	recorder record.EventRecorder
}

// NewAuthority returns an Authority. It does nothing before it is added to a
// manager and that manager starts.
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

// CacheByObject limits the watches of a manager's cache to the two objects that
// an Authority needs.
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

// SetupWithManager adds two things to a manager: the authority, which makes the
// CA, and the controller of the caBundle and the serving certificate.
// CacheByObject must limit the manager's cache, otherwise the cache needs rights
// that Telltale does not have.
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

// Check is a readiness check: nil once there is a certificate to serve. There
// is one as soon as the caBundle trusts its CA.
func (a *Authority) Check(*http.Request) error {
	if a.serving.Load() == nil {
		return fmt.Errorf("%w: there must be a CA in Secret %q of namespace %q, and in the caBundle of MutatingWebhookConfiguration %q",
			errNoCertificate, a.options.Secret, a.options.Namespace, a.options.WebhookConfiguration)
	}

	return nil
}
