//go:build apiserver

package stress

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/test/harness"
)

// TestRefusedWrites: half of all writes are refused; or some are done, and the
// answer is lost.
func TestRefusedWrites(t *testing.T) {
	t.Parallel()
	codes := map[string]int{
		"429 without Retry-After": http.StatusTooManyRequests,
		"500":                     http.StatusInternalServerError,
		"503":                     http.StatusServiceUnavailable,
		"409":                     http.StatusConflict,
		"403":                     http.StatusForbidden,
	}
	for name, code := range codes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, "half of the writes answered "+name, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if rand.IntN(2) == 0 {
					http.Error(w, "not now", code)

					return
				}
				next.ServeHTTP(w, r)
			})
		})
	}
	t.Run("time-out", func(t *testing.T) {
		t.Parallel()
		refused(t, "a quarter of the writes done, the answers lost", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if rand.IntN(4) == 0 {
				next.ServeHTTP(httptest.NewRecorder(), r)
				if rand.IntN(10) == 0 {
					<-r.Context().Done() // as if the network lost the answer
				}
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	})
}

// refused is the scenario of a fault. All of them run at the same time: they mostly
// wait for the next try of a write.
func refused(t *testing.T, title string, f fault) {
	t.Helper()
	s := start(t, shared, title, "exact, nothing twice", 1, 1)
	owners := s.deployments(t, s.namespaces[0], scale(4, 30))
	s.proxy.spoil(f)
	s.launch(0, scale(200.0, 50), each(owners)).endAfter(scale(time.Second, 30*time.Second))
	s.note("drained in %.0f s", s.drain(5*time.Minute).Seconds())
	s.exact()
}

// TestEventRateLimit: an API server that takes few events from anyone.
func TestEventRateLimit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "admission.yaml")
	if err := os.WriteFile(file, []byte(`
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: EventRateLimit
  configuration:
    apiVersion: eventratelimit.admission.k8s.io/v1alpha1
    kind: Configuration
    limits: [{type: Server, qps: 3, burst: 3}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	c := ownCluster(t, "--enable-admission-plugins=EventRateLimit", "--admission-control-config-file="+file)
	s := start(t, c, "EventRateLimit of 3 writes a second", "exact once it allows", 1, 1)
	owners := s.deployments(t, s.namespaces[0], scale(20, 100))
	s.launch(0, 200, each(owners)).endAfter(scale(3*time.Second, 20*time.Second))
	s.note("drained in %.0f s", s.drain(5*time.Minute).Seconds())
	s.exact()

	throttled, err := s.replicas[0].metric(t.Context(), "telltale_report_event_writes_total", "throttled")
	if err != nil || throttled == 0 {
		t.Errorf("%d writes were throttled: %v", throttled, err)
	}
	s.note("%d writes throttled", throttled)
}

// TestEventsForbidden: the rights to write events are taken away and given back.
func TestEventsForbidden(t *testing.T) {
	t.Parallel()
	s := start(t, ownCluster(t), "events forbidden, then allowed", "exact after; ready meanwhile; a metric and a log line say so", 1, 1)
	owners := s.deployments(t, s.namespaces[0], 20)
	giveBack := s.takeAway("events")
	storm := s.launch(0, 200, each(owners))
	start := time.Now()

	harness.Eventually(t, "a metric and a log line", func(ctx context.Context) error {
		if err := s.replicas[0].Ready(ctx); err != nil {
			return fmt.Errorf("not ready: %w", err)
		}
		pending, err := s.replicas[0].metric(ctx, "telltale_report_pending")
		if err != nil {
			return err
		}
		forbidden, err := s.replicas[0].metric(ctx, "telltale_report_event_writes_total", "forbidden")
		if err != nil {
			return err
		}
		if pending == 0 || forbidden == 0 || s.replicas[0].says(t, "cannot write events: grant") == 0 {
			return errors.New("they do not say it")
		}

		return nil
	})
	storm.endAfter(scale(5*time.Second, 30*time.Second))
	if err := s.replicas[0].Ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
	lines := s.replicas[0].says(t, "cannot write events: grant")
	if most := 1 + int(time.Since(start)/(30*time.Second)); lines > most {
		t.Errorf("said %d times, want %d at most", lines, most)
	}
	if n := len(s.events()); n > 0 {
		t.Errorf("%d events, while they are forbidden", n)
	}

	giveBack()
	s.note("exact after %.0f s", s.drain(within(away)).Seconds())
	s.exact()
}

// takeAway takes the rights to a resource away from Telltale, and returns a function
// that gives them back. It waits until the API server knows.
func (s *scenario) takeAway(resource string) (giveBack func()) {
	s.Helper()
	roles := s.api.RbacV1().ClusterRoles()
	role, err := roles.Get(s.Context(), "telltale", metav1.GetOptions{})
	if err != nil {
		s.Fatal(err)
	}
	set := func(rules []rbacv1.PolicyRule) {
		now, err := roles.Get(context.Background(), "telltale", metav1.GetOptions{})
		if err == nil {
			now.Rules = rules
			_, err = roles.Update(context.Background(), now, metav1.UpdateOptions{})
		}
		if err != nil {
			s.Error(err)
		}
	}
	var less []rbacv1.PolicyRule
	for _, rule := range role.Rules {
		if rule.Resources[0] != resource {
			less = append(less, rule)
		}
	}
	if len(less) == len(role.Rules) {
		s.Fatalf("the role has no rules for %s", resource)
	}
	set(less)
	s.Cleanup(func() { set(role.Rules) })
	// The API server reads RBAC from a cache. Once it refuses here, it refuses
	// Telltale, too.
	harness.Eventually(s.T, "taken away", func(ctx context.Context) error {
		out, err := s.Kubectl(ctx, "auth", "can-i", "get,create,patch", resource, "--as=system:serviceaccount:telltale-system:telltale")
		if err == nil {
			return errors.New("may still: " + out)
		}

		return nil
	})

	return func() { set(role.Rules) }
}
