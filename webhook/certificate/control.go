package certificate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// lookEvery is how often the controller looks at the certificate if nothing
// changes. It compares the wall clock, and does not set one timer for the time
// of renewal, because a machine may sleep.
const lookEvery = time.Minute

// forever is how long the controller waits for its first lists. The default, two
// minutes, would end the process while the API server is away, and keep it in
// CrashLoopBackOff after the API server is back (TestControlWaits).
const forever time.Duration = math.MaxInt64

// A failed look is repeated after firstRetry, later after lastRetry at most: by
// default it would be after a quarter of an hour, without injections meanwhile.
const firstRetry, lastRetry = 5 * time.Millisecond, 20 * time.Second

// patience bounds a look, calls included (TestHungCall). It is less than the limit of one
// call: no pod has an Injection until the caBundle is right.
const patience = 30 * time.Second

// control adds the controller of the caBundle and the serving certificate to a
// manager. It looks whenever the MutatingWebhookConfiguration or the Secret
// changes. Every replica runs it; all come to the same caBundle.
func (a *Authority) control(m manager.Manager) error {
	toConfiguration := func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: a.options.WebhookConfiguration}}}
	}

	a.reader = m.GetAPIReader()
	a.recorder = m.GetEventRecorderFor("telltale") //nolint:staticcheck // the new one needs rights on events.k8s.io, and hides counts

	err := builder.ControllerManagedBy(m).
		Named("cabundle").
		For(&admissionv1.MutatingWebhookConfiguration{}).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(toConfiguration)).
		WithOptions(controller.Options{
			CacheSyncTimeout:      forever,
			ReconciliationTimeout: patience,
			RateLimiter:           workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry),
		}).
		Complete(reconcile.Func(func(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
			after, err := a.look(ctx, m.GetClient(), time.Now())

			return reconcile.Result{RequeueAfter: after}, err
		}))
	if err != nil {
		return fmt.Errorf("cannot set up the controller of the caBundle: %w", err)
	}

	return nil
}

// look first puts the caBundle right. Then it renews the serving certificate if
// need be, by the caBundle as it was read: a CA that is written now counts only
// once it is read back. It returns when to look again.
func (a *Authority) look(ctx context.Context, c client.Client, now time.Time) (time.Duration, error) {
	ca, err := a.readCA(ctx, c, now)
	if err != nil {
		return 0, err
	}

	configuration, err := a.readConfiguration(ctx, c)
	if err != nil {
		return 0, err
	}

	a.trusted.see(bundles(configuration), now)

	after, err := a.renew(ca, now)

	return after, errors.Join(err, a.putRight(ctx, c, configuration, ca, now))
}

// readCA returns nil if there is no usable CA: the authority makes one, and its
// Secret leads to the next look.
func (a *Authority) readCA(ctx context.Context, c client.Client, now time.Time) (*tls.Certificate, error) {
	var secret corev1.Secret

	err := c.Get(ctx, types.NamespacedName{Namespace: a.options.Namespace, Name: a.options.Secret}, &secret)
	if err != nil {
		return nil, client.IgnoreNotFound(err)
	}

	ca, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	switch {
	case err != nil:
		return nil, nil //nolint:nilerr // as documented
	case ca.Leaf.Subject.CommonName != commonName:
		return nil, a.refuse(ctx, c, &secret, ca.Leaf.Subject.CommonName)
	case !ours(ca.Leaf, now):
		return nil, nil
	default:
		return &ca, nil
	}
}

// readConfiguration returns an empty configuration if there is none, and logs
// it.
func (a *Authority) readConfiguration(ctx context.Context, c client.Reader) (*admissionv1.MutatingWebhookConfiguration, error) {
	var configuration admissionv1.MutatingWebhookConfiguration

	name := a.options.WebhookConfiguration

	err := c.Get(ctx, types.NamespacedName{Name: name}, &configuration)
	if err != nil && client.IgnoreNotFound(err) == nil {
		a.options.Log.Info("no pod will reach Telltale: there is no MutatingWebhookConfiguration of this name; "+
			"apply config/webhook, or correct --webhook-configuration", "name", name)
	}

	return &configuration, client.IgnoreNotFound(err)
}

// renew starts to serve the next certificate as soon as it is due and safe.
func (a *Authority) renew(ca *tls.Certificate, now time.Time) (time.Duration, error) {
	current := a.serving.Load()
	if ca == nil || !current.due(ca, now) {
		return lookEvery, nil
	}

	if wait := a.trusted.until(ca.Leaf, a.propagation(current, now), now); wait > 0 {
		return min(wait, lookEvery), nil
	}

	next, err := newLeaf(ca, a.options.DNSNames, a.options.LeafDuration, now)
	if err != nil {
		return 0, err
	}

	a.serving.Store(next)
	a.options.Log.Info("serving a new certificate", "until", next.certificate.Leaf.NotAfter)

	return lookEvery, nil
}

// propagation is how long a CA must have been trusted before we serve under it.
// If there is no certificate to serve meanwhile, or no valid one, waiting is no
// use.
func (a *Authority) propagation(current *leaf, now time.Time) time.Duration {
	if current == nil || now.After(current.certificate.Leaf.NotAfter) {
		return 0
	}

	return a.options.Propagation
}
