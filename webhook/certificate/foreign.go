package certificate

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
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

	ref, err := a.deployment(ctx)
	if err != nil {
		a.options.Log.Error(err, "cannot write an event", "text", text)

		return
	}

	a.recorder.Event(&ref, corev1.EventTypeWarning, "CertificateAuthorityReplaced", text)
}

// deployment returns the controller of our pod's ReplicaSet, with the uid that
// kubectl describe needs. If a pod has no such controllers, it is the last of
// them, or the pod itself.
func (a *Authority) deployment(ctx context.Context) (corev1.ObjectReference, error) {
	ref := corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: a.options.Namespace, Name: a.options.Pod}

	for _, kind := range []string{"Pod", "ReplicaSet"} {
		if ref.Kind != kind {
			break
		}

		var o metav1.PartialObjectMetadata
		o.SetGroupVersionKind(schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind))

		if err := a.reader.Get(ctx, client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}, &o); err != nil {
			return ref, fmt.Errorf("cannot find Telltale's own Deployment: %w", err)
		}

		ref.UID = o.UID
		if c := metav1.GetControllerOf(&o); c != nil {
			ref.APIVersion, ref.Kind, ref.Name, ref.UID = c.APIVersion, c.Kind, c.Name, c.UID
		}
	}

	return ref, nil
}
