package otlp

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otellog "go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"

	"github.com/telltale-dev/telltale/internal/oneline"
	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// The attributes of a record. Those of k8s have the names that the Collector's
// k8s_events receiver gives to events, or those of the semantic conventions.
//
// Source: open-telemetry/opentelemetry-collector-contrib,
// receiver/k8seventsreceiver/k8s_event_to_logdata.go; open-telemetry/semantic-conventions,
// docs/registry/attributes/{k8s,log}.md.
const (
	keyReason     = "k8s.event.reason"
	keyStart      = "k8s.event.start_time"
	keyNamespace  = "k8s.namespace.name"
	keyKind       = "k8s.object.kind"
	keyName       = "k8s.object.name"
	keyUID        = "k8s.object.uid"
	keyAPIVersion = "k8s.object.api_version"
	keyPod        = "k8s.pod.name"
	keyRecordUID  = "log.record.uid"
	keyFailures   = "telltale.failures"
	keyInjection  = "telltale.injection.name"
	keyRevision   = "telltale.injection.revision"
)

// maxValue is the longest value of an attribute, in bytes. No name of an object is
// longer.
const maxValue = 253

// maxRecords is how many records one request has at most: about 1 MiB. By default,
// backends take 4 MiB by gRPC.
const maxRecords = 512

// sent is the content of one record or, if the failures have names, of some. It
// does not change until the backend has answered.
type sent struct {
	entry    ledger.Entry
	n        int64    // failures without a name
	uid      string   // of their record
	once     []string // names of failures: a record each
	observed time.Time
}

func (s *sent) failures() int64 { return s.n + int64(len(s.once)) }

// next is the next content to send: all that an entry owes, or the failures that
// have names, as many as one request may have.
func (w *Writer) next(a account) *sent {
	e := a.e
	named := min(a.owed(), int64(len(e.Once)))
	s := &sent{entry: e, n: a.owed() - named, observed: time.Now()}
	if s.n == 0 {
		names := e.Once[len(e.Once)-int(named):]
		s.once = slices.Clone(names[:min(len(names), maxRecords)])
	} else {
		s.uid = hash(w.process, strconv.FormatUint(e.ID, 36), strconv.FormatInt(a.stored+a.refused, 36))
	}
	s.entry.Once, s.entry.Receipt = nil, ledger.Receipt{}

	return s
}

// records makes the records of what is to be sent.
func (l *logger) records(s *sent, text func(failure.Failure) string) []sdklog.Record {
	if s.n > 0 {
		return l.emit(s, text, s.uid, s.n)
	}
	e, records := s.entry, make([]sdklog.Record, 0, len(s.once))
	for _, name := range s.once {
		uid := hash("once", e.Owner.Namespace, string(e.Reason), e.Injection.String(), name)
		records = append(records, l.emit(s, text, uid, 1)...)
	}

	return records
}

func (l *logger) emit(s *sent, text func(failure.Failure) string, uid string, failures int64) []sdklog.Record {
	var r otellog.Record
	r.SetTimestamp(s.entry.Last)
	r.SetObservedTimestamp(s.observed)
	severity := otellog.SeverityWarn
	if s.entry.Reason.IsNote() {
		severity = otellog.SeverityInfo
	}
	r.SetSeverity(severity)
	r.SetSeverityText(severity.String())
	r.SetBody(attribute.StringValue(text(s.entry.Failure)))
	r.AddAttributes(Attributes(s.entry, failures)...)
	r.AddAttributes(attribute.String(keyRecordUID, uid))

	return l.record(r)
}

// Attributes are the attributes of a number of an entry's failures. No value of an
// env var is among them. A note has no number, so that sums of failures are right.
func Attributes(e ledger.Entry, failures int64) []attribute.KeyValue {
	all := []attribute.KeyValue{
		attribute.String(keyReason, string(e.Reason)),
		attribute.String(keyStart, e.Since.UTC().Format(time.RFC3339Nano)),
		attribute.String(keyInjection, oneline.Cut(e.Injection.String(), maxValue)),
	}
	if !e.Reason.IsNote() {
		all = append(all, attribute.Int64(keyFailures, failures))
	}
	owner, kind := ownerKey(e.Owner)
	for _, a := range []struct{ key, value string }{
		{keyRevision, e.Revision},
		{keyNamespace, e.Owner.Namespace},
		{keyKind, e.Owner.Kind},
		{keyName, e.Owner.Name},
		{keyUID, string(e.Owner.UID)},
		{keyAPIVersion, e.Owner.APIVersion},
		{owner, kind},
		{keyPod, e.Pod},
	} {
		if a.key != "" && a.value != "" {
			all = append(all, attribute.String(a.key, oneline.Cut(a.value, maxValue)))
		}
	}

	return all
}

// ownerKey is the attribute that names an owner of its kind, and the name. Kinds
// that the semantic conventions do not have are without.
func ownerKey(o failure.Ref) (key, name string) {
	switch o.APIVersion + "/" + o.Kind {
	case "apps/v1/Deployment":
		return "k8s.deployment.name", o.Name
	case "apps/v1/ReplicaSet":
		return "k8s.replicaset.name", o.Name
	case "apps/v1/StatefulSet":
		return "k8s.statefulset.name", o.Name
	case "apps/v1/DaemonSet":
		return "k8s.daemonset.name", o.Name
	case "batch/v1/Job":
		return "k8s.job.name", o.Name
	case "batch/v1/CronJob":
		return "k8s.cronjob.name", o.Name
	default:
		return "", ""
	}
}

// hash is a name that follows from its parts, and no other parts have.
func hash(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		h.Write([]byte(part))
		h.Write([]byte{0}) // no part contains it
	}

	return hex.EncodeToString(h.Sum(nil)[:16])
}

// random names this process.
func random() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // it never fails, as its doc says

	return hex.EncodeToString(id[:])
}
