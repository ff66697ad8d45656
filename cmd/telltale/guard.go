package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authentication "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorization "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	// askTimeout bounds the two questions of one request.
	askTimeout = 10 * time.Second
	// trustFor is how long an allowed token is not asked about again.
	trustFor = time.Minute
	// trustInOutage is how long one is still allowed while the API server can't
	// be asked: the metrics that show an outage must be readable in it.
	trustInOutage = time.Hour
)

// errDenied and errUnknown are answers of the API server, other errors are not.
var (
	errUnknown = errors.New("unauthorized: send a token that the API server knows")
	errDenied  = errors.New("forbidden: bind ClusterRole telltale-metrics-reader")
)

// guard lets those read the metrics whom the API server lets get the path
// /metrics, by their bearer token (TestMetricsAreGuarded). It asks what
// controller-runtime's filters.WithAuthenticationAndAuthorization asks, which
// comes with the API server's library: the program would be 75 MB instead of 38.
type guard struct {
	tokens authentication.TokenReviewInterface
	access authorization.SubjectAccessReviewInterface

	mu      sync.Mutex
	allowed map[[sha256.Size]byte]time.Time // by question, when it was last asked
}

func newGuard(cfg *rest.Config, client *http.Client) (*guard, error) {
	tokens, err := authentication.NewForConfigAndClient(cfg, client)
	if err != nil {
		return nil, fmt.Errorf("cannot guard the metrics: %w", err)
	}

	access, err := authorization.NewForConfigAndClient(cfg, client)
	if err != nil {
		return nil, fmt.Errorf("cannot guard the metrics: %w", err)
	}

	return &guard{
		tokens: tokens.TokenReviews(), access: access.SubjectAccessReviews(),
		allowed: map[[sha256.Size]byte]time.Time{},
	}, nil
}

// guarded is for the options of a metrics server.
func guarded(cfg *rest.Config, client *http.Client) (metricsserver.Filter, error) {
	g, err := newGuard(cfg, client)
	if err != nil {
		return nil, err
	}

	return func(log logr.Logger, next http.Handler) (http.Handler, error) {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch err := g.check(r, time.Now()); {
			case err == nil:
				next.ServeHTTP(w, r)
			case errors.Is(err, errUnknown):
				http.Error(w, err.Error(), http.StatusUnauthorized)
			case errors.Is(err, errDenied):
				http.Error(w, err.Error(), http.StatusForbidden)
			default:
				log.Error(err, "metrics were refused")
				http.Error(w, "the API server can't be asked; see Telltale's log", http.StatusServiceUnavailable)
			}
		}), nil
	}, nil
}

// check is nil where a request may have its answer.
func (g *guard) check(r *http.Request, now time.Time) error {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		return errUnknown
	}

	question := sha256.Sum256([]byte(r.Method + " " + r.URL.Path + " " + token))
	age := g.age(question, now)

	if age < trustFor {
		return nil
	}

	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()

	err := g.ask(ctx, token, strings.ToLower(r.Method), r.URL.Path)

	switch {
	case err == nil:
		g.remember(question, now)
	case errors.Is(err, errUnknown), errors.Is(err, errDenied):
		g.forget(question)
	case age < trustInOutage:
		return nil
	}

	return err
}

// ask has the API server say who sent the token, and then what they may do.
func (g *guard) ask(ctx context.Context, token, verb, path string) error {
	who, err := g.tokens.Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("cannot ask whose token it is: %w", err)
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

// age is how long ago a question was last answered with yes; trustInOutage
// where that is too long ago to count.
func (g *guard) age(question [sha256.Size]byte, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()

	asked, ok := g.allowed[question]
	if !ok {
		return trustInOutage
	}

	return now.Sub(asked)
}

// remember keeps a yes, and drops those that no longer count: only what the API
// server allowed takes memory.
func (g *guard) remember(question [sha256.Size]byte, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()

	for q, asked := range g.allowed {
		if now.Sub(asked) >= trustInOutage {
			delete(g.allowed, q)
		}
	}

	g.allowed[question] = now
}

func (g *guard) forget(question [sha256.Size]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()

	delete(g.allowed, question)
}
