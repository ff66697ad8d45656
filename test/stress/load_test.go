//go:build apiserver

package stress

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/test/harness"
)

// connections is how many reviews are under way at once, at most.
const connections = 32

// review asks about the i-th pod. It sets the Injection's env var itself.
func (o owner) review(i int) []byte {
	return fmt.Appendf(nil, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"%[1]d",`+
		`"kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},`+
		`"namespace":%[2]q,"operation":"CREATE","object":{"kind":"Pod","apiVersion":"v1","metadata":{`+
		`"generateName":"%[4]s-%[1]d-","namespace":%[2]q,"labels":{"app":"web"},"ownerReferences":[`+
		`{"apiVersion":%[5]q,"kind":%[3]q,"name":%[4]q,"uid":%[6]q,"controller":true}]},`+
		`"spec":{"containers":[{"name":"app","image":"registry.example/app:1","env":[{"name":"HTTP_PROXY","value":"own"}]}]}},`+
		`"dryRun":false}}`, i, o.namespace, o.kind, o.name, o.apiVersion, o.uid)
}

// storm is reviews on their way to replicas, as an API server would send them.
type storm struct {
	replicas []*replica
	to       func(i int) owner
	n        int     // reviews; 0: until stop
	rate     float64 // a second; 0: as many as possible
	healthy  bool    // pods that get their Injection, if there is time

	client  *http.Client
	ctx     context.Context // the storm's life
	cancel  context.CancelFunc
	workers sync.WaitGroup
	start   time.Time

	mu       sync.Mutex
	next     int
	answered []answer // failures
	admitted []answer // pods that got their Injection
	torn     []answer // reviews sent to a replica that was killed: it may have counted a failure, and rightly so
	tore     error    // why the last of these got no answer
	refused  int      // reviews that no replica took
	wrong    error    // an answer that breaks a promise
}

// answer is one of Telltale's.
type answer struct {
	at       time.Time
	took     time.Duration
	shownOn  types.UID
	failures int64 // that it tells of: one more if the pod may need newer Injections
}

// launch starts a storm.
func (s *scenario) launch(n int, rate float64, to func(i int) owner) *storm {
	s.Helper()
	st := &storm{n: n, rate: rate, to: to}
	s.storms = append(s.storms, st)

	return s.begin(st)
}

// admit starts a storm of pods that get their Injection.
func (s *scenario) admit(rate float64, to func(i int) owner) *storm {
	s.Helper()
	st := &storm{rate: rate, to: to, healthy: true}
	s.storms = append(s.storms, st)

	return s.begin(st)
}

func (s *scenario) begin(st *storm) *storm {
	s.Helper()
	st.replicas, st.client, st.start = s.replicas, s.client(), time.Now()
	st.ctx, st.cancel = context.WithCancel(s.Context())
	for range connections {
		st.workers.Go(st.work)
	}
	s.Cleanup(func() {
		st.cancel()
		st.workers.Wait()
		st.client.CloseIdleConnections()
	})

	return st
}

// client trusts Telltale's CA, and speaks HTTP/1.1, as API servers do to
// webhooks.
func (s *scenario) client() *http.Client {
	s.Helper()
	roots, err := s.authority(s.Context())
	if err != nil {
		s.Fatal(err)
	}

	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: connections, ForceAttemptHTTP2: false,
	}}
}

func (st *storm) work() {
	for st.ctx.Err() == nil {
		st.mu.Lock()
		i := st.next
		st.next++
		st.mu.Unlock()
		if st.n > 0 && i >= st.n {
			return
		}
		if st.rate > 0 {
			select {
			case <-st.ctx.Done():
				return
			case <-time.After(time.Until(st.start.Add(time.Duration(float64(i) / st.rate * float64(time.Second))))):
			}
		}
		st.ask(i)
	}
}

// errNotUp means that a replica takes no reviews yet.
var errNotUp = errors.New("not ready")

// ask sends a review to one replica after the other, until one takes it.
func (st *storm) ask(i int) {
	o := st.to(i)
	body := o.review(i)
	if st.healthy {
		body = bytes.Replace(body, []byte("HTTP_PROXY"), []byte("OTHER"), 1)
	}
	start := time.Now()
	var r response
	var err error
	for k := range st.replicas {
		if r, err = st.post(st.replicas[(i+k)%len(st.replicas)], body); !notTaken(err) {
			break
		}
	}
	now := time.Now()
	a := answer{now, now.Sub(start), o.shownOn, max(1, int64(len(r.Warnings)))}

	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case notTaken(err):
		st.refused++
	case err != nil:
		st.torn, st.tore = append(st.torn, a), fmt.Errorf("review %d, after %v: %w", i, a.took, err)
	case !r.Allowed:
		st.wrong = fmt.Errorf("review %d: the pod was refused", i)
	case st.healthy && bytes.Contains(r.Patch, []byte("HTTP_PROXY")):
		st.admitted = append(st.admitted, a)
	case !recorded(r.Patch, "Injection"):
		st.wrong = fmt.Errorf("review %d: the pod does not carry the record of its failure", i)
	default:
		st.answered = append(st.answered, a)
	}
}

// notTaken tells whether there was no connection, or none with a certificate: then
// no replica saw the review.
func notTaken(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)

	return errors.Is(err, errNotUp) || ok && op.Op == "remote error"
}

// response has the parts of an answer that are looked at.
type response struct {
	Allowed  bool     `json:"allowed"`
	Patch    []byte   `json:"patch"`
	Warnings []string `json:"warnings"` // one for each failure
}

// post asks a replica.
func (st *storm) post(r *replica, body []byte) (response, error) {
	if !r.up.Load() {
		return response{}, errNotUp
	}
	// If an answer is under way when the storm ends, we wait for it.
	req, err := http.NewRequestWithContext(context.WithoutCancel(st.ctx), http.MethodPost,
		"https://localhost:"+r.Port+"/mutate--v1-pod?timeout=5s", bytes.NewReader(body))
	if err != nil {
		return response{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	connected := false
	answer, err := st.client.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected = true },
	})))
	if err != nil && !connected {
		err = errors.Join(errNotUp, err)
	}
	if err != nil {
		return response{}, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return response{}, fmt.Errorf("answered with %s", answer.Status)
	}
	var review struct {
		Response response `json:"response"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&review); err != nil {
		return response{}, err
	}

	return review.Response, nil
}

// recorded tells whether a patch says that our Injection, of any revision,
// failed for a reason that begins so.
func recorded(patch []byte, reason string) bool {
	const revision = 8
	_, entry, ok := bytes.Cut(patch, []byte("cluster/stress@"))

	return ok && len(entry) > revision && bytes.HasPrefix(entry[revision:], []byte("="+reason))
}

// wait waits for the last answer.
func (st *storm) wait() *storm {
	st.workers.Wait()

	return st
}

// stop ends a storm, and waits for the answers under way.
func (st *storm) stop() {
	st.cancel()
	st.wait()
}

// lasts waits until a storm has lasted so long. It returns the time.
func (st *storm) lasts(d time.Duration) time.Time {
	<-time.After(time.Until(st.start.Add(d)))

	return time.Now()
}

// rages waits until a storm has had so many answers.
func (st *storm) rages(t *testing.T, answers int) {
	t.Helper()
	harness.Eventually(t, "answers", func(context.Context) error {
		st.mu.Lock()
		defer st.mu.Unlock()
		if n := len(st.answered); n < answers {
			return fmt.Errorf("%d answers, want %d", n, answers)
		}

		return nil
	})
}

// endAfter ends a storm when it has lasted so long.
func (st *storm) endAfter(d time.Duration) {
	st.lasts(d)
	st.stop()
}

// between returns how many failures there were from one time to another.
func (st *storm) between(from, to time.Time) (n int64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, a := range st.answered {
		if !a.at.Before(from) && a.at.Before(to) {
			n += a.failures
		}
	}

	return n
}

// slowest returns, for a span of time, the time within which 99 of 100 answers
// came, and that within which all came.
func (st *storm) slowest(from, to time.Time) (p99, most time.Duration) {
	st.mu.Lock()
	defer st.mu.Unlock()
	var took []time.Duration
	for _, a := range slices.Concat(st.answered, st.admitted) {
		if !a.at.Before(from) && a.at.Before(to) {
			took = append(took, a.took)
		}
	}
	if len(took) == 0 {
		return 0, 0
	}
	slices.Sort(took)

	return took[len(took)*99/100], took[len(took)-1]
}

// check fails the test if an answer breaks a promise, or if a review that must have
// an answer has none.
func (st *storm) check(t *testing.T, replicasEnd bool) {
	t.Helper()
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.wrong != nil {
		t.Error(st.wrong)
	}
	if n := st.refused + len(st.torn); n > 0 && !replicasEnd {
		t.Errorf("%d reviews got no answer", n)
	}
}

// each sends reviews of some owners, in turn.
func each(owners []owner) func(i int) owner {
	return func(i int) owner { return owners[i%len(owners)] }
}
