package serving

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// keepCABundle adds the controller of the caBundle to a manager. It looks
// whenever the MutatingWebhookConfiguration or the Secret changes, whoever
// changed it. Every replica runs it; all come to the same bundle.
func (a *Authority) keepCABundle(m manager.Manager) error {
	toConfiguration := func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: a.options.WebhookConfiguration}}}
	}

	err := builder.ControllerManagedBy(m).
		Named("cabundle").
		For(&admissionv1.MutatingWebhookConfiguration{}).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(toConfiguration)).
		Complete(reconcile.Func(func(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
			return reconcile.Result{}, a.reconcile(ctx, m.GetClient())
		}))
	if err != nil {
		return fmt.Errorf("cannot set up the controller of the caBundle: %w", err)
	}

	return nil
}

func (a *Authority) reconcile(ctx context.Context, c client.Client) error {
	var secret corev1.Secret

	err := c.Get(ctx, types.NamespacedName{Namespace: a.options.Namespace, Name: a.options.Secret}, &secret)
	if err != nil {
		return client.IgnoreNotFound(err) // the authority makes it, and we hear of it
	}

	var configuration admissionv1.MutatingWebhookConfiguration

	name := a.options.WebhookConfiguration
	if err := c.Get(ctx, types.NamespacedName{Name: name}, &configuration); err != nil {
		if client.IgnoreNotFound(err) == nil {
			a.options.Log.Info("no pod will reach Telltale: there is no MutatingWebhookConfiguration of this name; "+
				"apply config/webhook, or correct --webhook-configuration", "name", name)
		}

		return client.IgnoreNotFound(err)
	}

	before := configuration.DeepCopy()
	changed := false

	for i := range configuration.Webhooks {
		config := &configuration.Webhooks[i].ClientConfig
		if want := bundle(config.CABundle, secret.Data[corev1.TLSCertKey], time.Now()); !bytes.Equal(config.CABundle, want) {
			config.CABundle, changed = want, true
		}
	}

	if !changed {
		return nil
	}

	a.options.Log.Info("putting the caBundle right", "name", name)

	// A strategic merge patch changes the caBundle of these webhooks and
	// nothing else, whoever edits the configuration at the same time.
	if err := c.Patch(ctx, &configuration, client.StrategicMergeFrom(before)); err != nil {
		return fmt.Errorf("cannot write the caBundle of MutatingWebhookConfiguration %q: %w", name, err)
	}

	return nil
}

// bundle is what a caBundle must hold: our CA, and of what it holds now the
// newest other CA of ours that is still valid. So, while a CA rotates, replicas
// that serve under the old one and under the new are trusted. Whatever else is
// in there goes.
func bundle(now, ca []byte, at time.Time) []byte {
	if len(ca) == 0 {
		return now
	}

	var previous *x509.Certificate

	for rest := now; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}

		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil || cert.Subject.CommonName != commonName || !cert.IsCA || at.After(cert.NotAfter) {
			continue
		}

		if encoded := encodePEM(cert); !bytes.Equal(encoded, ca) &&
			(previous == nil || cert.NotBefore.After(previous.NotBefore)) {
			previous = cert
		}
	}

	if previous == nil {
		return ca
	}

	return append(bytes.Clone(ca), encodePEM(previous)...)
}

func encodePEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}
