//go:build apiserver

package stress

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/test/harness"
)

// fault spoils a call, or hands it on.
type fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// proxy stands between Telltale and the API server. It notes the times of the report
// pipe's calls.
type proxy struct {
	fault atomic.Pointer[fault] // of what isWrite

	mu             sync.Mutex
	writes, lookUp []time.Time
}

// startProxy starts one, and returns it with a config of Telltale's service
// account that goes through it.
func startProxy(t *testing.T, c *cluster) (*proxy, *rest.Config) {
	t.Helper()
	p := &proxy{}

	return p, harness.Proxy(t, c.ControlPlane, p.handler)
}

func (p *proxy) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case isWrite(r):
			p.note(&p.writes)
			if f := p.fault.Load(); f != nil {
				(*f)(w, r, next)

				return
			}
		case isLookUp(r):
			p.note(&p.lookUp)
		}
		next.ServeHTTP(w, r)
	})
}

func (p *proxy) note(calls *[]time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*calls = append(*calls, time.Now())
}

// isWrite tells the writes of events.
func isWrite(r *http.Request) bool {
	return (r.Method == http.MethodPost || r.Method == http.MethodPatch) && strings.Contains(r.URL.Path, "/events")
}

// isLookUp tells the reads of objects that may have an owner.
func isLookUp(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/apis/apps/v1/namespaces/")
}

// calls returns how many writes and look-ups there were.
func (p *proxy) calls() (writes, lookUps int) {
	p.mu.Lock()
	defer p.mu.Unlock()

	return len(p.writes), len(p.lookUp)
}

// spoil applies a fault to each write of an event, until it is called with nil.
func (p *proxy) spoil(f fault) {
	if f == nil {
		p.fault.Store(nil)

		return
	}
	p.fault.Store(&f)
}

// overBudget returns by how many calls Telltale ever exceeded its budget: qps calls
// a second, and burst more at once after a quiet time.
func (p *proxy) overBudget(qps, burst float64) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := merge(p.writes, p.lookUp)

	// Of all spans from call i to call j, the one with the most calls over
	// qps * span. With s = calls so far - qps * time, that is max(s[j] - min s[i]).
	over, least := 0.0, 0.0
	for i, at := range all {
		s := float64(i) - qps*at.Sub(all[0]).Seconds()
		least = min(least, s)
		over = max(over, s-least+1)
	}

	return over - burst
}

func merge(a, b []time.Time) []time.Time {
	merged := make([]time.Time, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0].Before(b[0]) {
			merged, a = append(merged, a[0]), a[1:]
		} else {
			merged, b = append(merged, b[0]), b[1:]
		}
	}

	return append(append(merged, a...), b...)
}
