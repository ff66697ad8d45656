package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// before checks if Telltale can be installed. Objects without a namespace are created,
// as a dry run. The rights to create the others are asked for, as their namespace is not
// there yet.
func before(ctx context.Context, c client.Client, s settings, version string) ([]Line, error) {
	var lines []Line

	judgeVersion(section{"kubernetes-api", &lines}, version)

	all, err := manifests()
	if err != nil {
		return nil, err
	}

	may := section{"pre-installation", &lines}
	asked := map[string]bool{}
	there := 0

	for _, u := range all {
		mapping, err := c.RESTMapper().RESTMapping(u.GroupVersionKind().GroupKind(), u.GroupVersionKind().Version)
		check := "you may create " + u.GetKind() + " objects"

		switch {
		case err != nil:
			may.add(check, Bad, "the API server does not know the kind: "+oneLine(err), "Use a version of Kubernetes that Telltale is tested with", "install.md#versions-of-kubernetes")
		case mapping.Scope.Name() == meta.RESTScopeNameRoot:
			there += tryOut(ctx, c, may, u)
		case !asked[u.GetKind()]:
			asked[u.GetKind()] = true

			mayCreate(ctx, c, may, check, s.namespace, mapping)
		}
	}

	slices.SortStableFunc(lines, func(a, b Line) int { return strings.Compare(a.Section, b.Section) })

	if there > 0 {
		may.add("Telltale is not installed yet", Warning, fmt.Sprintf("%d of its objects are there", there), "See kubectl telltale check", "install.md#upgrade")
	} else {
		may.good("Telltale is not installed yet", "")
	}

	return lines, ctx.Err()
}

// tryOut creates an object as a dry run. It returns 1 if the object is there already.
func tryOut(ctx context.Context, c client.Client, s section, u *unstructured.Unstructured) int {
	check := fmt.Sprintf("the API server takes %s %s", strings.ToLower(u.GetKind()), u.GetName())

	switch err := c.Create(ctx, u.DeepCopy(), client.DryRunAll); {
	case err == nil:
		s.good(check, "")
	case apierrors.IsAlreadyExists(err):
		s.good(check, "it is there")

		return 1
	case apierrors.IsForbidden(err):
		s.add(check, Bad, oneLine(err), "Ask a cluster administrator to install Telltale", "install.md#rights")
	default:
		s.add(check, Bad, oneLine(err), "Correct what the API server says", "install.md#install")
	}

	return 0
}

func mayCreate(ctx context.Context, c client.Client, s section, check, namespace string, m *meta.RESTMapping) {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: "create", Group: m.Resource.Group, Resource: m.Resource.Resource},
	}}

	switch err := c.Create(ctx, review); {
	case err != nil:
		s.unread(check, err)
	case !review.Status.Allowed:
		s.add(check, Bad, "you may not, in namespace "+namespace, "Ask a cluster administrator to install Telltale", "install.md#rights")
	default:
		s.good(check, "")
	}
}
