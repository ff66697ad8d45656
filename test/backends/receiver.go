package backends

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// Receiver is a team's server, which Alertmanager tells of alerts (webhook_configs).
type Receiver struct {
	server *httptest.Server

	mu  sync.Mutex
	all []Notice
}

// Notice is one alert of a notification.
type Notice struct {
	Status   string            `json:"status"` // firing or resolved
	Labels   map[string]string `json:"labels"`
	StartsAt time.Time         `json:"startsAt"` // when the alert fired
	EndsAt   time.Time         `json:"endsAt"`   // if it is resolved
	At       time.Time         `json:"-"`        // when the notification came
}

// The two values of Status.
const (
	Firing   = "firing"
	Resolved = "resolved"
)

// StartReceiver starts a receiver that ends with the test.
func StartReceiver(t *testing.T) *Receiver {
	t.Helper()
	r := &Receiver{}
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)

	return r
}

// config makes it a receiver of an Alertmanager, under a name.
func (r *Receiver) config(name string) string {
	return fmt.Sprintf("- {name: %q, webhook_configs: [{url: %q, send_resolved: true}]}\n", name, r.server.URL)
}

// ServeHTTP takes a notification.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	var notification struct{ Alerts []Notice }
	if err := json.NewDecoder(request.Body).Decode(&notification); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)

		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range notification.Alerts {
		n.At = time.Now()
		r.all = append(r.all, n)
	}
}

// Notices returns all that came so far, in their order.
func (r *Receiver) Notices() []Notice {
	r.mu.Lock()
	defer r.mu.Unlock()

	return slices.Clone(r.all)
}

// Find returns the first notice of a status that came since a time, and whose alert has
// these labels and maybe others.
func (r *Receiver) Find(status string, since time.Time, labels map[string]string) (Notice, error) {
	all := r.Notices()
	for _, n := range all {
		if n.Status == status && !n.At.Before(since) && has(n.Labels, labels) {
			return n, nil
		}
	}

	return Notice{}, fmt.Errorf("of %d notices, none is of an alert %v that is %s", len(all), labels, status)
}

func has(all, some map[string]string) bool {
	for name, value := range some {
		if all[name] != value {
			return false
		}
	}

	return true
}
