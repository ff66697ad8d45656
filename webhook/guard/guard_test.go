//go:build apiserver

package guard

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/harness"
)

// TestGuardInAnOutage takes the API server away, and then a right. Callers that
// could read the metrics before can still read them, for an hour.
func TestGuardInAnOutage(t *testing.T) {
	cp := harness.ControlPlane(t, controlplane.Options{NoControllerManager: true})
	harness.Kubectl(t, cp, "apply", "-f", "../../config/rbac/metrics_reader_role.yaml")
	harness.Kubectl(t, cp, "create", "clusterrolebinding", "reader", "--clusterrole=telltale-metrics-reader", "--serviceaccount=default:reader")

	known, reader := token(t, cp, "known"), token(t, cp, "reader")

	client, err := rest.HTTPClientFor(cp.Config)
	if err != nil {
		t.Fatal(err)
	}

	g, err := newGuard(cp.Config, client)
	if err != nil {
		t.Fatal(err)
	}

	now := time.Now()
	check := func(reason, token string, after time.Duration, want error) {
		t.Helper()

		got := g.check(metricsRequest(t.Context(), t, token), now.Add(after))
		if !errors.Is(got, want) {
			t.Errorf("%s got %v, want %v", reason, got, want)
		}
	}

	check("Allowed.", reader, 0, nil)
	check("Denied.", known, 0, errDenied)
	cp.StopAPIServer()
	check("The answer is remembered, and the API server is not asked.", reader, trustFor-time.Second, nil)
	check("The API server can't be asked, and the answer is remembered.", reader, 30*time.Minute, nil)

	for token, after := range map[string]time.Duration{reader: trustInOutage, known: 0} {
		err := g.check(metricsRequest(t.Context(), t, token), now.Add(after))
		if err == nil || !strings.Contains(err.Error(), "cannot ask which user the token belongs to") {
			t.Errorf("the token is not known, and the answer is %v", err)
		}
	}

	if err := cp.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}

	harness.Kubectl(t, cp, "delete", "clusterrolebinding", "reader")

	harness.Eventually(t, "no longer allowed", func(ctx context.Context) error {
		if err := g.check(metricsRequest(ctx, t, reader), now.Add(30*time.Minute)); !errors.Is(err, errDenied) {
			return errors.New("still allowed")
		}

		return nil
	})
	check("Forgotten.", reader, 0, errDenied)
}

// token makes a service account and returns its token.
func token(t *testing.T, cp *controlplane.ControlPlane, account string) string {
	t.Helper()
	harness.Kubectl(t, cp, "create", "serviceaccount", account)

	return strings.TrimSpace(harness.Kubectl(t, cp, "create", "token", account))
}

func metricsRequest(ctx context.Context, t *testing.T, token string) *http.Request {
	t.Helper()

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://localhost/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}

	request.Header.Set("Authorization", "Bearer "+token)

	return request
}
