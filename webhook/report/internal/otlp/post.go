package otlp

import (
	"context"
	"errors"
	"sync"
	"time"

	sdklog "go.opentelemetry.io/otel/sdk/log"
	"golang.org/x/time/rate"

	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// refusedEvery is the time between two log lines about records that the backend
// refused.
const refusedEvery = 30 * time.Second

// post sends one request at a time. The records of calls that come meanwhile go
// together in the next: so a slow backend gets few large requests, and a fast one
// waits for nothing. How many records are held depends on the number of calls.
type post struct {
	turn    chan struct{} // held by the call that sends
	loud    *rate.Sometimes
	mu      sync.Mutex
	waiting []*parcel
}

func newPost() post {
	return post{turn: make(chan struct{}, 1), loud: &rate.Sometimes{First: 1, Interval: refusedEvery}}
}

// parcel is the records of one call.
type parcel struct {
	records []sdklog.Record
	result  result
	done    chan struct{}
}

// result is how a parcel ended: acknowledged, refused for ever, or not known.
type result struct {
	refused ledger.Cause // empty: not refused
	err     error        // not nil: a retry may help
}

// send sends records, alone or with those of other calls.
func (w *Writer) send(ctx context.Context, records []sdklog.Record) result {
	p := &parcel{records: records, done: make(chan struct{})}
	w.post.add(p)
	for {
		select {
		case <-p.done:
			return p.result
		case w.post.turn <- struct{}{}:
			w.deliver(ctx, w.post.take())
			<-w.post.turn
		}
	}
}

func (p *post) add(added *parcel) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = append(p.waiting, added)
}

// take takes the parcels of the next request: as many as fit, but one at least.
func (p *post) take() []*parcel {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, records := 0, 0
	for _, next := range p.waiting {
		if records += len(next.records); n > 0 && records > maxRecords {
			break
		}
		n++
	}
	taken := p.waiting[:n]
	p.waiting = append([]*parcel(nil), p.waiting[n:]...)

	return taken
}

// deliver sends parcels in one request, and tells each how it ended. If the backend
// calls the request invalid, each is sent alone: one may be to blame.
func (w *Writer) deliver(ctx context.Context, parcels []*parcel) {
	if len(parcels) == 0 {
		return
	}
	r := w.export(ctx, parcels)
	if r.refused == ledger.RecordInvalid && len(parcels) > 1 {
		for i := range parcels {
			w.deliver(ctx, parcels[i:i+1])
		}

		return
	}
	for _, p := range parcels {
		p.result = r
		close(p.done)
	}
}

// export makes one request.
func (w *Writer) export(ctx context.Context, parcels []*parcel) result {
	var records []sdklog.Record
	for _, p := range parcels {
		records = append(records, p.records...)
	}
	ctx, a := listen(ctx)
	err := w.exporter.Export(ctx, records)
	switch {
	case a.taken && a.refused > 0:
		w.refused(errors.New(a.message), ledger.Partial, len(records), a.refused)

		return result{refused: ledger.Partial}
	case a.taken:
		return result{}
	case a.invalid:
		if len(parcels) == 1 {
			w.refused(err, ledger.RecordInvalid, len(records), int64(len(records)))
		}

		return result{refused: ledger.RecordInvalid}
	case err == nil:
		return result{err: errors.New("the backend did not answer")}
	case a.wait > 0:
		return result{err: &ledger.WaitError{Wait: a.wait, Err: err}}
	default:
		return result{err: err}
	}
}

// refused logs, now and then, that the backend refused records for ever.
func (w *Writer) refused(err error, why ledger.Cause, records int, refused int64) {
	w.post.loud.Do(func() {
		w.o.Log.Error(err, "the backend refused records for ever; their failures are counted in telltale_report_unreported_total",
			"cause", why, "records", records, "refused", refused)
	})
}
