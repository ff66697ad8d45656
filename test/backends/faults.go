package backends

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	collogpb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/protobuf/proto"
)

// Fault is what becomes of a request to the store.
type Fault int

// The faults. An answer is lost after the store has taken the request. With
// Partial, the store gets nothing, and the answer says that it took a part.
const (
	Pass Fault = iota
	Throttle
	Unavailable
	LoseAnswer
	Cut
	Partial
)

// Faults is a proxy before a real store. Requests have the faults that are set, in
// turns.
type Faults struct {
	server *httptest.Server
	store  http.Handler

	mu     sync.Mutex
	faults []Fault
	n      map[Fault]int
}

// StartFaults starts a proxy that ends with the test.
func StartFaults(t *testing.T, to *Store) *Faults {
	t.Helper()
	u, err := url.Parse("http://" + to.Address)
	if err != nil {
		t.Fatal(err)
	}
	f := &Faults{store: httputil.NewSingleHostReverseProxy(u), faults: []Fault{Pass}, n: map[Fault]int{}}
	f.server = httptest.NewUnstartedServer(f)
	f.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	f.server.Start()
	t.Cleanup(f.server.Close)

	return f
}

// Endpoint is where it takes logs by OTLP.
func (f *Faults) Endpoint() string { return f.server.URL + "/insert/opentelemetry/v1/logs" }

// Set sets the faults from now on.
func (f *Faults) Set(all ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = all
}

// Count is how many requests had a fault.
func (f *Faults) Count(of Fault) int {
	f.mu.Lock()
	defer f.mu.Unlock()

	return f.n[of]
}

// next is the fault of the next request.
func (f *Faults) next() Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := 0
	for _, n := range f.n {
		sum += n
	}
	next := f.faults[sum%len(f.faults)]
	f.n[next]++

	return next
}

// String says how many requests had which fault.
func (f *Faults) String() string {
	return fmt.Sprintf("%d passed, %d times 429, %d times 503, %d answers lost, %d connections cut, %d taken in part",
		f.Count(Pass), f.Count(Throttle), f.Count(Unavailable), f.Count(LoseAnswer), f.Count(Cut), f.Count(Partial))
}

// ServeHTTP answers a request, with its fault.
func (f *Faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch f.next() {
	case Throttle:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	case Unavailable:
		w.WriteHeader(http.StatusServiceUnavailable)
	case LoseAnswer:
		f.store.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case Cut:
		panic(http.ErrAbortHandler)
	case Partial:
		body, err := proto.Marshal(&collogpb.ExportLogsServiceResponse{
			PartialSuccess: &collogpb.ExportLogsPartialSuccess{RejectedLogRecords: 1, ErrorMessage: "one is too old"},
		})
		if err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(body)
	default:
		f.store.ServeHTTP(w, r)
	}
}
