package event

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// attempts is how many times in a row Write tries if others write the same
// event at the same time.
const attempts = 5

// Writer writes events. It is safe for concurrent use, on different entries.
type Writer struct {
	client  rest.Interface
	process string
	calls   map[Result]*atomic.Int64
}

// NewWriter makes a Writer that calls the API server as cfg says. But the
// Writer itself never waits to try again.
func NewWriter(cfg *rest.Config) (*Writer, error) {
	client, err := corev1client.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client that writes events: %w", err)
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // it never fails, as its doc says
	w := &Writer{client: client.RESTClient(), process: hex.EncodeToString(id[:]), calls: map[Result]*atomic.Int64{}}
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
// If only one process writes, it is usually one call. An error is a
// *ledger.FinalError if the namespace is gone, or if the API server calls the
// event invalid. It is a *ledger.NotYetError if other processes wrote the event
// each time, and a *ledger.WaitError if the API server asks to wait. After any
// other error, a retry may help.
func (w *Writer) Write(ctx context.Context, e ledger.Entry) (ledger.Receipt, error) {
	m := remembered(e.Receipt)
	t, look := tally{others: m.others}, m.shared
	var err error
	for range attempts {
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
			return m.note(ev, read(ev, w.key(e), time.Now())).receipt(), nil
		}
		if look = stale(m, err); !look {
			break
		}
	}

	return m.receipt(), explain(e, err)
}

// look brings a memo up to date with the event as it is, and notes whether
// another process wrote it since. If so, the next Write looks before it writes:
// in a storm that is two calls for each write, and not three.
func (w *Writer) look(ctx context.Context, e ledger.Entry, m memo) (memo, tally, error) {
	ev, err := w.read(ctx, e)
	if gone(err) {
		return m.gone(), tally{}, nil
	}
	if err != nil {
		return m, tally{}, err
	}
	t := read(ev, w.key(e), time.Now())
	m.shared = ev.ResourceVersion != m.version

	return m.note(ev, t), t, nil
}

// stale tells whether a write failed because the event is not as the memo says.
func stale(m memo, err error) bool {
	return apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) ||
		gone(err) && m.version != ""
}

// create makes the event, with our count alone.
func (w *Writer) create(ctx context.Context, e ledger.Entry, m memo) (*corev1.Event, error) {
	ev, mine := newEvent(e), e.Total-m.base
	ev.Count = count(mine)
	ev.Annotations = map[string]string{w.key(e): format(mine, time.Now())}

	return w.do(ctx, w.client.Post().Namespace(ev.Namespace).Resource("events").Body(ev), Created)
}

// update writes our count and the sum on the event of the memo, and folds old
// counts. The message is that of the latest failure of any process.
func (w *Writer) update(ctx context.Context, e ledger.Entry, m memo, t tally) (*corev1.Event, error) {
	now, mine := time.Now(), e.Total-m.base
	annotations := map[string]any{w.key(e): format(mine, now)}
	for _, key := range t.old {
		annotations[key] = nil
		annotations[foldedKey] = format(t.folded, now)
	}
	patch := map[string]any{
		"metadata": map[string]any{"resourceVersion": m.version, "annotations": annotations},
		"count":    count(add(t.others, mine)),
	}
	if !e.Last.Before(m.last) {
		patch["message"] = message(e.Failure)
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
