//go:build apiserver

package heal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The moments at which a leader is killed: before a call reaches the API server, after
// it was answered, and while it is under way.
const (
	before = iota
	after
	during
)

// killer is the way to the API server of a leader that is killed at a write.
type killer struct {
	http.RoundTripper

	t      *testing.T
	kill   context.CancelFunc
	at     int64 // the number of the write; 0: never
	moment int

	evicted *atomic.Int64
	late    *sync.WaitGroup // calls under way
	writes  atomic.Int64
	dead    atomic.Bool
}

var errKilled = errors.New("killed")

func (k *killer) RoundTrip(r *http.Request) (*http.Response, error) {
	if k.dead.Load() {
		return nil, errKilled
	}

	if r.Method == http.MethodGet {
		return k.send(r)
	}

	n := k.writes.Add(1)
	k.t.Logf("write %d: %s %s", n, r.Method, r.URL.Path)

	if n != k.at {
		return k.send(r)
	}

	defer k.kill()

	k.dead.Store(true)

	switch k.moment {
	case after:
		if answer, err := k.send(r); err == nil {
			_ = answer.Body.Close()
		}
	case during:
		body, _ := io.ReadAll(r.Body)
		r = r.Clone(context.WithoutCancel(r.Context()))
		r.Body = io.NopCloser(bytes.NewReader(body))

		k.late.Go(func() {
			<-time.After(10 * testPeriod)

			if answer, err := k.send(r); err == nil {
				_ = answer.Body.Close()
			}
		})
	}

	return nil, errKilled
}

func (k *killer) send(r *http.Request) (*http.Response, error) {
	answer, err := k.RoundTripper.RoundTrip(r)
	if err == nil && strings.HasSuffix(r.URL.Path, "/eviction") && answer.StatusCode == http.StatusCreated {
		k.evicted.Add(1)
	}

	return answer, err
}
