package guard

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ask asks the API server two questions: which user does the token belong to,
// and what may that user do?
func (g *guard) ask(ctx context.Context, token, verb, path string) error {
	who, err := g.tokens.Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("cannot ask which user the token belongs to: %w", err)
	}

	if !who.Status.Authenticated {
		return errUnknown
	}

	user := who.Status.User

	may, err := g.access.Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra(user.Extra),
			NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: path, Verb: verb},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("cannot ask what %q may do: %w", user.Username, err)
	}

	if !may.Status.Allowed {
		return errDenied
	}

	return nil
}

func extra(from map[string]authenticationv1.ExtraValue) map[string]authorizationv1.ExtraValue {
	to := make(map[string]authorizationv1.ExtraValue, len(from))
	for k, v := range from {
		to[k] = authorizationv1.ExtraValue(v)
	}

	return to
}
