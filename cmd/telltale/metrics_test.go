//go:build apiserver

package main

import (
	"context"
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/test/telltale"
)

// TestMetricsAreGuarded reads the metrics of the program as config/ runs it:
// without a known user, as some user, and as Prometheus.
func TestMetricsAreGuarded(t *testing.T) {
	t.Parallel()

	c, port := startInstalled(t)
	p := c.launch(t, port, "--metrics-secure")
	harness.WaitReady(t, p)

	known, reader := c.tokens(t)

	// A certificate that the program makes for itself verifies nothing.
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	status := func(ctx context.Context, token string) (int, error) {
		request := metricsRequest(ctx, t, "https://"+p.Metrics+"/metrics", token)

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
		"Invented":   {"The token belongs to no user.", "invented", http.StatusUnauthorized},
		"Somebody":   {"Every pod has a token; that is not enough.", known, http.StatusForbidden},
		"Prometheus": {"The user is bound to telltale-metrics-reader.", reader, http.StatusOK},
		"Again":      {"Remembered.", reader, http.StatusOK},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got, err := status(t.Context(), tc.token); err != nil || got != tc.want {
				t.Errorf("%s got %d (%v), want %d", tc.reason, got, err, tc.want)
			}
		})
	}

	if _, err := telltale.Get(t.Context(), "http://"+p.Metrics+"/metrics"); err == nil {
		t.Error("the metrics can be read by HTTP")
	}
}

// tokens returns the tokens of two service accounts. Only the second may read
// the metrics.
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
