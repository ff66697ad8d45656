//go:build apiserver

package event

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

func TestOneWriter(t *testing.T) {
	t.Parallel()
	ns, w := namespace(t), writer(t, cp.Config)
	e := entry(ns, 3)
	for range 3 {
		var err error
		if e.Receipt, err = w.Write(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if e.Receipt.Stored != e.Total {
			t.Errorf("stored %d of %d", e.Receipt.Stored, e.Total)
		}
		wantCount(t, ns, e.Total)
		e.Total += 4
		e.Last = e.Last.Add(time.Minute)
		e.Text = "no, again."
	}
	ev := wantCount(t, ns, 11)
	if calls := w.Calls(); calls[Created] != 1 || calls[Patched] != 2 || calls[Read] != 0 {
		t.Errorf("not one call a write: %v", calls)
	}
	if !strings.Contains(ev.Message, "again") || !ev.LastTimestamp.After(ev.FirstTimestamp.Time) {
		t.Errorf("not brought up to date: %+v", ev)
	}
}

// TestSharedCount: many writers write one event at the same time.
func TestSharedCount(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	var writers sync.WaitGroup
	for range 8 {
		w, e := writer(t, cp.Config), entry(ns, 0)
		writers.Go(func() {
			for range 10 {
				e.Total += 5
				persist(t, w, &e)
			}
		})
	}
	writers.Wait()
	wantCount(t, ns, 8*10*5)
}

// persist writes until it works, as a ledger does.
func persist(t *testing.T, w *Writer, e *ledger.Entry) {
	t.Helper()
	for t.Context().Err() == nil {
		var err error
		if e.Receipt, err = w.Write(t.Context(), *e); err == nil {
			return
		}
	}
}

// faults makes calls fail, with even odds, before or after the API server has
// done its part.
type faults struct {
	http.RoundTripper
	mu   sync.Mutex
	rand *rand.Rand
}

func (f *faults) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	n := f.rand.IntN(16)
	f.mu.Unlock()
	switch {
	case n < 4: // the answer is lost
		answer, err := f.RoundTripper.RoundTrip(r)
		if err == nil {
			_ = answer.Body.Close()
			err = context.DeadlineExceeded
		}

		return nil, err
	case n < 8: // the API server has other troubles
		code := []int{http.StatusConflict, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable}[n-4]

		return answer(r, code), nil
	default:
		return f.RoundTripper.RoundTrip(r)
	}
}

// TestLostAnswers: half of all calls fail, and half of these fail after the
// write.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	var writers sync.WaitGroup
	for i := range 4 {
		cfg := rest.CopyConfig(cp.Config)
		cfg.Wrap(func(rt http.RoundTripper) http.RoundTripper {
			return &faults{RoundTripper: rt, rand: rand.New(rand.NewPCG(1, uint64(i)))}
		})
		w, e := writer(t, cfg), entry(ns, 0)
		writers.Go(func() {
			for range 25 {
				e.Total++
				persist(t, w, &e)
			}
		})
	}
	writers.Wait()
	wantCount(t, ns, 4*25)
}

// TestEventDeleted: failures on a deleted event stay reported. The next event
// starts from zero, for all writers.
func TestEventDeleted(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	w1, w2 := writer(t, cp.Config), writer(t, cp.Config)
	e1, e2 := entry(ns, 10), entry(ns, 20)
	persist(t, w1, &e1)
	persist(t, w2, &e2)
	ev := wantCount(t, ns, 30)
	if err := client(t).CoreV1().Events(ns).Delete(t.Context(), ev.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	e1.Total, e2.Total = 11, 22
	persist(t, w1, &e1)
	wantCount(t, ns, 1)
	persist(t, w2, &e2)
	wantCount(t, ns, 3)
	e1.Total = 15
	persist(t, w1, &e1)
	wantCount(t, ns, 7)
}

// TestFolded: old counts become one. If one of their writers still lives, it
// starts another count.
func TestFolded(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	w := writer(t, cp.Config)
	e := entry(ns, 5)
	persist(t, w, &e)
	age := map[string]any{w.key(e): format(5, time.Now().Add(-2*time.Hour))}
	for i := range 20 {
		age[fmt.Sprintf("%s%d", countPrefix, i)] = format(1, time.Now().Add(-2*time.Hour))
	}
	patch := map[string]any{"metadata": map[string]any{"annotations": age}, "count": 25}
	if _, err := w.patch(t.Context(), e, patch, Patched); err != nil {
		t.Fatal(err)
	}

	late := entry(ns, 3)
	persist(t, writer(t, cp.Config), &late)
	if ev := wantCount(t, ns, 28); len(ev.Annotations) != 2 {
		t.Errorf("not folded: %v", ev.Annotations)
	}
	e.Total = 9
	persist(t, w, &e)
	if ev := wantCount(t, ns, 32); len(ev.Annotations) != 3 {
		t.Errorf("the writer did not start another count: %v", ev.Annotations)
	}
}

// TestNewerMessageStays: a late report of an older failure counts, but does not
// replace the message.
func TestNewerMessageStays(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	newer, older := entry(ns, 1), entry(ns, 1)
	newer.Text, older.Text = "newer", "older"
	older.Last = older.Last.Add(-time.Minute)
	persist(t, writer(t, cp.Config), &newer)
	persist(t, writer(t, cp.Config), &older)
	if ev := wantCount(t, ns, 2); !strings.Contains(ev.Message, "newer") {
		t.Errorf("message is %q", ev.Message)
	}
}

func TestFinalErrors(t *testing.T) {
	t.Parallel()
	going := namespace(t)
	if _, err := client(t).CoreV1().ConfigMaps(going).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "x"},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// Without a controller manager, this deletion never ends.
	if err := client(t).CoreV1().Namespaces().Delete(t.Context(), going, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	huge := entry(namespace(t), 1)
	huge.Injection.Name = strings.Repeat("x", 4<<20)
	huge.Owner.Name = huge.Injection.Name

	cases := map[string]struct {
		reason string
		e      ledger.Entry
		want   ledger.Cause
	}{
		"NamespaceGone":  {"There is no namespace to write in.", entry("no-such", 1), ledger.NamespaceGone},
		"NamespaceGoing": {"The namespace will soon be gone.", entry(going, 1), ledger.NamespaceGone},
		"Invalid":        {"The API server will never take it.", huge, ledger.EventInvalid},
	}
	for title, tc := range cases {
		_, err := writer(t, cp.Config).Write(t.Context(), tc.e)
		if final, ok := errors.AsType[*ledger.FinalError](err); !ok || final.Cause != tc.want {
			t.Errorf("%s: %s: got %v", title, tc.reason, err)
		}
	}
}

// TestPageOfNoEvent: a load balancer has no backend for a while, and says 404.
// This is not the API server's word that the event is gone.
func TestPageOfNoEvent(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	cfg := rest.CopyConfig(cp.Config)
	var pages atomic.Int64
	cfg.Wrap(func(rt http.RoundTripper) http.RoundTripper { return pager{rt, &pages} })
	w, e := writer(t, cfg), entry(ns, 3)
	persist(t, w, &e)
	for n := range int64(4) {
		pages.Store(n)
		e.Total += 2
		persist(t, w, &e)
		wantCount(t, ns, e.Total)
	}
}

// pager answers as many calls with a page.
type pager struct {
	http.RoundTripper
	pages *atomic.Int64
}

func (p pager) RoundTrip(r *http.Request) (*http.Response, error) {
	if p.pages.Add(-1) >= 0 {
		return answer(r, http.StatusNotFound), nil
	}

	return p.RoundTripper.RoundTrip(r)
}

// TestInvalid: if the API server itself calls the event invalid, this is final.
func TestInvalid(t *testing.T) {
	t.Parallel()
	cfg := rest.CopyConfig(cp.Config)
	cfg.ContentType = runtime.ContentTypeJSON
	cfg.Wrap(func(rt http.RoundTripper) http.RoundTripper { return spoiler{rt} })
	_, err := writer(t, cfg).Write(t.Context(), entry(namespace(t), 1))
	if final, ok := errors.AsType[*ledger.FinalError](err); !ok || final.Cause != ledger.EventInvalid || !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
}

// spoiler makes every event one about an object of another namespace.
type spoiler struct{ http.RoundTripper }

func (s spoiler) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	body = bytes.Replace(body, []byte(`"involvedObject":{"kind":"Deployment","namespace":"`), []byte(`"involvedObject":{"kind":"Deployment","namespace":"not-`), 1)
	r = r.Clone(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))

	return s.RoundTripper.RoundTrip(r)
}

// TestPolicy: a policy may change its mind, whatever it calls its reason.
func TestPolicy(t *testing.T) {
	t.Parallel()
	for _, reason := range []metav1.StatusReason{metav1.StatusReasonInvalid, metav1.StatusReasonRequestEntityTooLarge, metav1.StatusReasonForbidden} {
		t.Run(string(reason), func(t *testing.T) {
			t.Parallel()
			ns := namespace(t)
			refuse(t, ns, reason)
			w, e := writer(t, cp.Config), entry(ns, 0)
			harness.Eventually(t, "the policy refuses", func(ctx context.Context) (err error) {
				e.Total++
				if e.Receipt, err = w.Write(ctx, e); err == nil {
					return errors.New("written")
				} else if _, final := errors.AsType[*ledger.FinalError](err); final || apierrors.ReasonForError(err) != reason {
					t.Errorf("got %v", err)
				}

				return nil
			})
		})
	}
}

// TestLeastRights: the rights create and patch are enough. Without them, the
// error is one that may pass.
func TestLeastRights(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	user := cp.User("event-writer-of-" + ns)
	w, e := writer(t, user), entry(ns, 2)
	_, err := w.Write(t.Context(), e)
	if _, final := errors.AsType[*ledger.FinalError](err); final || !apierrors.IsForbidden(err) {
		t.Errorf("without rights: %v", err)
	}

	grant(t, ns, user.Impersonate.UserName)
	other := entry(ns, 3)
	persist(t, writer(t, cp.Config), &other) // so the next write must read first
	deadline, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	for {
		if e.Receipt, err = w.Write(deadline, e); err == nil {
			break
		}
		if !apierrors.IsForbidden(err) {
			t.Fatal(err)
		}
	}
	e.Total = 4
	persist(t, w, &e)
	wantCount(t, ns, 7)
}

// TestRetryAfter: if the API server asks to wait, the error says for how long.
// A worker does not spend that time.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	cfg := rest.CopyConfig(cp.Config)
	var calls atomic.Int64
	cfg.Wrap(func(http.RoundTripper) http.RoundTripper { return busy{&calls} })
	w := writer(t, cfg)
	_, err := w.Write(t.Context(), entry("any", 1))
	if asked, ok := errors.AsType[*ledger.WaitError](err); !ok || asked.Wait != 7*time.Second {
		t.Errorf("got %v", err)
	}
	if n := calls.Load(); n != 1 || w.Calls()[Throttled] != 1 {
		t.Errorf("%d calls, counted as %v", n, w.Calls())
	}
}

// busy is an API server that asks every caller to come back later.
type busy struct{ calls *atomic.Int64 }

func (b busy) RoundTrip(r *http.Request) (*http.Response, error) {
	b.calls.Add(1)
	a := answer(r, http.StatusTooManyRequests)
	a.Header.Set("Retry-After", "7")

	return a, nil
}
