package explain

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/verdict"
)

// readRequired reads, with the user's rights, the metadata of what Injections require in
// a namespace. An object that can't be read stays unseen.
func (f *facts) readRequired(ctx context.Context, r *reader, namespace string) {
	f.unseen = map[string]string{}
	asked := map[string]bool{}

	for _, in := range f.Reach(namespace) {
		for _, required := range in.Required() {
			if asked[required.String()] || verdict.Ignores(verdict.StatusOf(f.Object(in)), required) {
				continue
			}

			asked[required.String()] = true

			o := &metav1.PartialObjectMetadata{}
			o.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(required.Kind))

			switch err := r.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: required.Name}, o); {
			case err == nil:
				o.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(required.Kind))
				f.Have(o)
			case apierrors.IsNotFound(err):
				f.Missing(required.Kind, namespace, required.Name)
			default:
				f.unseen[required.String()] = reasonOf(err)
			}
		}
	}
}

// couldTell returns a verdict as one that could not be told, if an object could not be
// read that decides. One that Telltale does not look at does not.
func (f *facts) couldTell(one verdict.One, namespace string) verdict.One {
	status := verdict.StatusOf(f.Object(one.Injection))

	for _, r := range one.Unseen {
		if verdict.Ignores(status, r) || one.Outcome != verdict.Injected && one.Outcome != verdict.Previewed || one.Reason != "" {
			continue
		}

		one.Outcome, one.Text = verdict.Unknown, fmt.Sprintf("whether %s is in namespace %s could not be read", r, namespace)

		return one
	}

	return one
}

// unreadOf are the objects that could not be read, and that decide about an Injection.
func (f *facts) unreadOf(one verdict.One) (all []Unread) {
	for _, r := range one.Unseen {
		if why := f.unseen[r.String()]; why != "" {
			all = append(all, Unread{What: r.String(), Why: why, Decides: true})
		}
	}

	return all
}
