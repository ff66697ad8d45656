package event

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// If others write the same event at the same time, Write makes so many attempts. Before
// each it waits for a random time of up to apart, so that they do not meet again.
const (
	attempts = 5
	apart    = 250 * time.Millisecond
)

// company is how long a Writer that met another expects it on further events, too.
const company = time.Minute

// Writer writes events. It is safe for concurrent use, on different entries.
type Writer struct {
	client  rest.Interface
	limit   flowcontrol.RateLimiter // nil: none
	apart   time.Duration
	met     atomic.Int64 // when another process was last found to write one of our events, in Unix nanoseconds
	process string
	calls   map[Result]*atomic.Int64
}

// NewWriter makes a Writer that calls the API server as cfg says. But the
// Writer itself never waits to try again.
func NewWriter(cfg *rest.Config) (*Writer, error) {
	limit := cfg.RateLimiter
	cfg = rest.CopyConfig(cfg)
	cfg.RateLimiter, cfg.QPS = nil, -1 // the Writer waits itself
	client, err := corev1client.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client that writes events: %w", err)
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // it never fails, as its doc says
	w := &Writer{
		client: client.RESTClient(), limit: limit, apart: apart,
		process: hex.EncodeToString(id[:]), calls: map[Result]*atomic.Int64{},
	}
	for _, r := range Results() {
		w.calls[r] = new(atomic.Int64)
	}

	return w, nil
}

// Write brings the event of a resolved entry up to date. If it returns no
// error, the event holds all of e.Total. The receipt has all that the Writer
// knows about the event, with an error too. The next Write of the entry needs it
// in e.Receipt.
//
// If only one process writes, it is usually one call. If several write the same
// event, it is two: a writer that must expect another's write reads the event
// first (TestCompany). An error is a
// *ledger.FinalError if the namespace is gone, or if the API server calls the
// event invalid. It is a *ledger.NotYetError if other processes wrote the event
// each time, and a *ledger.WaitError if the API server asks to wait. After any
// other error, a retry may help.
func (w *Writer) Write(ctx context.Context, e ledger.Entry) (ledger.Receipt, error) {
	m := remembered(e.Receipt)
	t, look := tally{others: m.others}, m.shared || !m.looked && w.inCompany()
	var err error
	for range attempts {
		if err = w.wait(ctx, look); err != nil {
			break
		}
		if look {
			if m, t, err = w.look(ctx, e, m); err != nil || m.stored == e.Total {
				return m.receipt(), explain(e, err) // without an error: the answer to an earlier write was lost
			}
		}
		var ev *corev1.Event
		if m.version == "" {
			ev, err = w.create(ctx, e, m)
		} else {
			ev, err = w.update(ctx, e, m, t)
		}
		if err == nil {
			return m.note(e, ev, read(ev, w.key(e), time.Now())).receipt(), nil
		}
		if look = stale(m, err); !look {
			break
		}
		w.makeWay(ctx)
	}

	return m.receipt(), explain(e, err)
}

// wait waits until a write may be made, or a look and a write: between these two
// there must be no time for others to write.
func (w *Writer) wait(ctx context.Context, look bool) error {
	if w.limit == nil {
		return nil
	}
	if look {
		if err := w.limit.Wait(ctx); err != nil {
			return err
		}
	}

	return w.limit.Wait(ctx)
}

// makeWay waits for a moment after a write that met another's.
func (w *Writer) makeWay(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(mathrand.Float64() * float64(w.apart))):
	}
}

// look brings a memo up to date with the event as it is, and notes whether
// another process wrote it since. If so, the next Write looks before it writes:
// that is two calls, and not the three of a write that fails, a look and a write.
func (w *Writer) look(ctx context.Context, e ledger.Entry, m memo) (memo, tally, error) {
	ev, err := w.read(ctx, e)
	if gone(err) {
		return m.gone(), tally{}, nil
	}
	if err != nil {
		return m, tally{}, err
	}
	t := read(ev, w.key(e), time.Now())
	m.looked, m.shared = true, ev.ResourceVersion != m.version
	if m.shared {
		w.met.Store(time.Now().UnixNano())
	}

	return m.note(e, ev, t), t, nil
}

// inCompany tells whether another process may write an event that was not looked
// at yet: in a storm, all replicas write the same events.
func (w *Writer) inCompany() bool {
	return time.Since(time.Unix(0, w.met.Load())) < company
}

// stale tells whether a write failed because the event is not as the memo says.
func stale(m memo, err error) bool {
	return apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) ||
		gone(err) && m.version != ""
}

// create makes the event, with our count alone.
func (w *Writer) create(ctx context.Context, e ledger.Entry, m memo) (*corev1.Event, error) {
	ev := newEvent(e)
	mine, names := m.own(e)
	ev.Count = count(mine)
	ev.Annotations = map[string]string{w.key(e): format(mine, time.Now())}
	if names != "" {
		ev.Annotations[onceKey(w.key(e))] = names
	}

	return w.do(ctx, w.client.Post().Namespace(ev.Namespace).Resource("events").Body(ev), Created)
}

// update writes our count and the sum on the event of the memo, and folds old
// counts. The message is that of the latest failure of any process.
func (w *Writer) update(ctx context.Context, e ledger.Entry, m memo, t tally) (*corev1.Event, error) {
	now := time.Now()
	mine, names := m.own(e)
	annotations := map[string]any{w.key(e): format(mine, now)}
	if names != "" {
		annotations[onceKey(w.key(e))] = names
	}
	for _, key := range t.old {
		annotations[key] = nil
		if len(t.told) > 0 {
			annotations[onceKey(key)] = nil
		}
		annotations[foldedKey] = format(t.folded, now)
	}
	patch := map[string]any{
		"metadata": map[string]any{"resourceVersion": m.version, "annotations": annotations},
		"count":    count(add(t.others, mine)),
	}
	if !e.Last.Before(m.last) {
		patch["message"] = Message(e.Failure)
		patch["lastTimestamp"] = metav1.NewTime(e.Last)
	}

	return w.patch(ctx, e, patch, Patched)
}

// read returns the event as it is, by a patch that changes nothing: so the verb
// get is not needed.
func (w *Writer) read(ctx context.Context, e ledger.Entry) (*corev1.Event, error) {
	return w.patch(ctx, e, map[string]any{}, Read)
}

func (w *Writer) patch(
	ctx context.Context, e ledger.Entry, patch map[string]any, ok Result,
) (*corev1.Event, error) {
	body, err := json.Marshal(patch)
	if err != nil {
		return nil, fmt.Errorf("cannot encode a patch: %w", err)
	}

	return w.do(ctx, w.client.Patch(types.MergePatchType).
		Namespace(e.Owner.Namespace).Resource("events").Name(name(e.Failure)).Body(body), ok)
}

// do makes one call and counts it.
func (w *Writer) do(ctx context.Context, call *rest.Request, ok Result) (*corev1.Event, error) {
	ev := &corev1.Event{}
	err := call.MaxRetries(0).Do(ctx).Into(ev)
	w.calls[result(err, ok)].Add(1)

	return ev, err
}

// key is the annotation that holds the entry's count. If an entry is opened
// again after it was forgotten, it is another writer: the first one's count
// stays.
func (w *Writer) key(e ledger.Entry) string {
	return countPrefix + w.process + "-" + strconv.FormatUint(e.ID, 36)
}
