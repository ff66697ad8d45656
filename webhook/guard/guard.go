// Package guard protects the metrics. A caller may read them if the API server
// allows that caller's bearer token to get the path /metrics
// (telltale.TestMetricsAreGuarded).
//
// It asks the same questions as filters.WithAuthenticationAndAuthorization of
// controller-runtime. But here an allowed caller can read the metrics in an outage of
// the API server, too (TestGuardInAnOutage). And that filter brings the rest of the API
// server's library with it: 3.6 MB more of program, and five modules.
package guard

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
	authentication "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorization "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	// askTimeout limits the time of the two questions of one request.
	askTimeout = 10 * time.Second
	// trustFor is how long an allowed token is trusted without asking again.
	trustFor = time.Minute
	// trustInOutage is how long an allowed token is still trusted while the API
	// server can't be asked: the metrics must be readable in the outage that
	// they show.
	trustInOutage = time.Hour
)

// errDenied and errUnknown are answers of the API server; other errors are not.
var (
	errUnknown = errors.New("unauthorized: send a token that the API server knows")
	errDenied  = errors.New("forbidden: bind ClusterRole telltale-metrics-reader")
)

// Filter is for Options.FilterProvider of a metrics server.
func Filter(cfg *rest.Config, client *http.Client) (metricsserver.Filter, error) {
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

// guard asks the API server, and remembers what it allowed.
type guard struct {
	tokens authentication.TokenReviewInterface
	access authorization.SubjectAccessReviewInterface

	mu      sync.Mutex
	allowed map[[sha256.Size]byte]time.Time // by question: when it was last asked
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

// check is nil if a request may have its answer.
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

// age is how long ago the API server last answered a question with yes. It is
// trustInOutage if that was too long ago to count.
func (g *guard) age(question [sha256.Size]byte, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()

	asked, ok := g.allowed[question]
	if !ok {
		return trustInOutage
	}

	return now.Sub(asked)
}

// remember keeps a yes, and drops each yes that no longer counts. Only allowed
// questions take memory.
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
