package certificate

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/webhook/own"
)

// caKey is the entry of the Secret without which the authority makes another CA.
//
// Source: caRequiresRegeneration, cert-manager v1.21.2
// pkg/server/tls/authority/authority.go.
const caKey = "ca.crt"

// refuse makes the authority replace a CA that is not ours, although the
// authority itself would keep it. Then it says so on Telltale's Deployment. If
// several replicas try, one succeeds: the others have an older resourceVersion.
func (a *Authority) refuse(ctx context.Context, c client.Writer, secret *corev1.Secret, name string) error {
	if len(secret.Data[caKey]) == 0 {
		return nil // the authority replaces it
	}

	delete(secret.Data, caKey)

	if err := c.Update(ctx, secret); err != nil {
		return fmt.Errorf("cannot have the CA in Secret %q replaced: %w", a.options.Secret, err)
	}

	text := fmt.Sprintf("Secret %q held a CA of the name %.100q, not %q, and is given a new one. "+
		"Let nothing else write this Secret; for certificates of another authority, set --cert-dir",
		a.options.Secret, name, commonName)
	a.options.Log.Info(text)
	a.tell(ctx, text)

	return nil
}

// tell writes a Warning on the Deployment of this process's pod. A process
// without a pod only has its log.
func (a *Authority) tell(ctx context.Context, text string) {
	if a.options.Pod == "" {
		return
	}

	ref, err := own.Deployment(ctx, a.reader, a.options.Namespace, a.options.Pod)
	if err != nil {
		a.options.Log.Error(err, "cannot write an event", "text", text)

		return
	}

	a.recorder.Event(&ref, corev1.EventTypeWarning, "CertificateAuthorityReplaced", text)
}
