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

// TestGuardInAnOutage takes the API server away, and then a right: metrics stay
// readable to those who could read them, for an hour.
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
	check("Remembered without asking.", reader, trustFor-time.Second, nil)
	check("It can't be asked.", reader, 30*time.Minute, nil)

	for token, after := range map[string]time.Duration{reader: trustInOutage, known: 0} {
		err := g.check(metricsRequest(t.Context(), t, token), now.Add(after))
		if err == nil || !strings.Contains(err.Error(), "cannot ask whose token it is") {
			t.Errorf("nothing is known of this token, and it got %v", err)
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

// token is that of a new service account.
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
