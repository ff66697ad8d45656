//go:build apiserver

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// TestMetricsAreGuarded reads the metrics of the program as config/ runs it, as
// nobody, as somebody, and as Prometheus.
func TestMetricsAreGuarded(t *testing.T) {
	c := startCluster(t)
	port := freePort(t)
	c.install(t, port)
	p := c.launch(t, c.kubeconfig, port, "--metrics-secure")
	p.waitReady(t)

	known, reader := c.tokens(t)

	// A certificate that the program makes for itself verifies nothing.
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // as above
	}}
	status := func(ctx context.Context, token string) (int, error) {
		request := metricsRequest(ctx, t, "https://"+p.metrics+"/metrics", token)

		response, err := client.Do(request)
		if err != nil {
			return 0, err
		}

		return response.StatusCode, response.Body.Close()
	}

	cases := map[string]struct {
		reason, token string
		want          int
	}{
		"Nobody":     {"No token.", "", http.StatusUnauthorized},
		"Invented":   {"A token of nobody's.", "invented", http.StatusUnauthorized},
		"Somebody":   {"Any pod has a token of its own; that is not enough.", known, http.StatusForbidden},
		"Prometheus": {"Bound to telltale-metrics-reader.", reader, http.StatusOK},
		"Again":      {"Remembered.", reader, http.StatusOK},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got, err := status(t.Context(), tc.token); err != nil || got != tc.want {
				t.Errorf("%s got %d (%v), want %d", tc.reason, got, err, tc.want)
			}
		})
	}

	if _, err := get(t.Context(), "http://"+p.metrics+"/metrics"); err == nil {
		t.Error("the metrics can be read by HTTP")
	}
}

// TestGuardInAnOutage takes the API server away, and then a right: metrics stay
// readable to those who could read them, for an hour.
func TestGuardInAnOutage(t *testing.T) {
	c := startCluster(t)
	port := freePort(t)
	c.install(t, port)
	known, reader := c.tokens(t)

	client, err := rest.HTTPClientFor(c.Config)
	if err != nil {
		t.Fatal(err)
	}

	g, err := newGuard(c.Config, client)
	if err != nil {
		t.Fatal(err)
	}

	now := time.Now()
	check := func(reason, token string, after time.Duration, want error) {
		t.Helper()

		got := g.check(metricsRequest(t.Context(), t, "https://localhost/metrics", token), now.Add(after))
		if !errors.Is(got, want) {
			t.Errorf("%s got %v, want %v", reason, got, want)
		}
	}

	check("Allowed.", reader, 0, nil)
	check("Denied.", known, 0, errDenied)
	c.StopAPIServer()
	check("Remembered without asking.", reader, trustFor-time.Second, nil)
	check("It can't be asked.", reader, 30*time.Minute, nil)

	for token, after := range map[string]time.Duration{reader: trustInOutage, known: 0} {
		err := g.check(metricsRequest(t.Context(), t, "https://localhost/metrics", token), now.Add(after))
		if err == nil || !strings.Contains(err.Error(), "cannot ask whose token it is") {
			t.Errorf("nothing is known of this token, and it got %v", err)
		}
	}

	if err := c.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}

	c.kubectl(t, "delete", "clusterrolebinding", "reader")
	eventually(t, "no longer allowed", func(ctx context.Context) error {
		err := g.check(metricsRequest(ctx, t, "https://localhost/metrics", reader), now.Add(30*time.Minute))
		if !errors.Is(err, errDenied) {
			return errors.New("still allowed")
		}

		return nil
	})
	check("Forgotten.", reader, 0, errDenied)
}

// tokens are those of two service accounts, one of which may read the metrics.
func (c *cluster) tokens(t *testing.T) (known, reader string) {
	t.Helper()

	c.kubectl(t, "create", "serviceaccount", "known", "-n", "shop")
	c.kubectl(t, "create", "serviceaccount", "reader", "-n", "shop")
	c.kubectl(t, "create", "clusterrolebinding", "reader", "--clusterrole=telltale-metrics-reader", "--serviceaccount=shop:reader")

	return strings.TrimSpace(c.kubectl(t, "create", "token", "known", "-n", "shop")),
		strings.TrimSpace(c.kubectl(t, "create", "token", "reader", "-n", "shop"))
}

func metricsRequest(ctx context.Context, t *testing.T, url, token string) *http.Request {
	t.Helper()

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}

	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}

	return request
}
