// Package otlp turns a ledger's entries into OTLP log records, and sends them to
// the backend that the standard variables of the environment name.
//
// A record has the failures of one entry since the last one that the backend
// acknowledged. The sum of telltale.failures over all records is the number of
// failures, however many processes send. A record without an answer is sent again
// with the same log.record.uid, time and text. So the sum over distinct uids is
// exact (TestExactSum). Failures that several processes may find have one record
// each, and its uid follows from the failure's name: each leader sends the same
// (TestOnceAcrossLeaders).
//
// If a backend takes a request in part, none of it is sent again, as OTLP has it.
// It does not say which records it refused, so all failures of the request count
// as unreported (TestPartial).
package otlp

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	sdklog "go.opentelemetry.io/otel/sdk/log"

	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// Options of a Writer.
type Options struct {
	// Log gets a line, now and then, if the backend refuses records.
	Log logr.Logger
	// Version is service.version.
	Version string
	// Instance is service.instance.id: it tells replicas apart.
	Instance string
	// Cluster is k8s.cluster.name. Default: OTEL_RESOURCE_ATTRIBUTES may have it.
	Cluster string
	// ClusterUID finds k8s.cluster.uid, unless OTEL_RESOURCE_ATTRIBUTES has it.
	// Records wait for it. If it is empty, they are without.
	ClusterUID func(context.Context) (string, error)
	// Text is the body of a failure's record.
	Text func(failure.Failure) string
}

// Writer sends records. It is safe for concurrent use, on different entries. The
// records of several calls of Write go in one request.
type Writer struct {
	o        Options
	exporter sdklog.Exporter
	process  string
	source   source
	post     post
}

// NewWriter makes a Writer that sends as the environment says (Wanted). It makes
// no call. A wrong variable is an error, which names it without its value.
func NewWriter(o Options) (*Writer, error) {
	env, err := environmentOf()
	if err != nil {
		return nil, fmt.Errorf("cannot export failures by OTLP: %w", err)
	}
	exporter, err := newExporter(env)
	if err != nil {
		return nil, fmt.Errorf("cannot export failures by OTLP: %w", err)
	}

	return newWriter(o, exporter), nil
}

func newWriter(o Options, exporter sdklog.Exporter) *Writer {
	return &Writer{o: o, exporter: exporter, process: random(), source: source{o: o}, post: newPost()}
}

// Write sends what the entry has and the backend has not. If it returns no error,
// the backend has answered for all of e.Total. The receipt has the record that is
// without an answer, and the next Write of the entry needs it in e.Receipt.
//
// The error is a *ledger.WaitError if the backend asks to wait. After any other
// error, a retry may help.
func (w *Writer) Write(ctx context.Context, e ledger.Entry) (ledger.Receipt, error) {
	logger, err := w.source.logger(ctx)
	if err != nil {
		return e.Receipt, err
	}
	a := accountOf(e)
	for a.owes() {
		if a.sent == nil {
			a.sent = w.next(a)
		}
		r := w.send(ctx, logger.records(a.sent, w.o.Text)) //nolint:contextcheck // records are made in memory
		if r.err != nil {
			return a.receipt(), fmt.Errorf("cannot send a record about %s: %w", e.Owner, r.err)
		}
		a.answered(r)
	}

	return a.receipt(), nil
}

// account is how much of an entry the backend has answered for.
type account struct {
	e               ledger.Entry
	stored, refused int64
	why             ledger.Cause
	sent            *sent // without an answer; nil: none
}

func accountOf(e ledger.Entry) account {
	waiting, _ := e.Receipt.Memo.(*sent)

	return account{e: e, stored: e.Receipt.Stored, refused: e.Receipt.Refused, why: e.Receipt.Why, sent: waiting}
}

func (a *account) owed() int64 { return a.e.Total - a.stored - a.refused }

func (a *account) owes() bool { return a.sent != nil || a.owed() > 0 }

func (a *account) answered(r result) {
	if r.refused == "" {
		a.stored += a.sent.failures()
	} else {
		a.refused += a.sent.failures()
		a.why = r.refused
	}
	a.sent = nil
}

func (a *account) receipt() ledger.Receipt {
	r := ledger.Receipt{Stored: a.stored, Refused: a.refused, Why: a.why, Unclear: a.sent != nil}
	if a.sent != nil {
		r.Memo = a.sent
	}

	return r
}
