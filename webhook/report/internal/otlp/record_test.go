package otlp

import (
	"context"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"

	"github.com/telltale-dev/telltale/internal/oneline"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// TestRecord: the parts of a record have the names that the Collector's receiver of
// events, and the semantic conventions, give them.
func TestRecord(t *testing.T) {
	w := newWriter(testOptions(), newBackend(taken))
	l, err := w.source.logger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	records := l.records(w.next(account{e: entry(3)}), w.o.Text)
	if len(records) != 1 {
		t.Fatalf("%d records", len(records))
	}
	r := records[0]
	got := map[string]any{}
	for k, v := range attributes(&r) {
		got[string(k)] = v.AsInterface()
	}
	uid, _ := got[keyRecordUID].(string)
	delete(got, keyRecordUID)
	want := map[string]any{
		"k8s.event.reason": "InjectionConflict", "k8s.event.start_time": "1970-01-12T13:46:40Z", "telltale.injection.name": "proxy",
		"telltale.injection.revision": "5f3c9a1b", "telltale.failures": int64(3), "k8s.namespace.name": "shop",
		"k8s.object.kind": "Deployment", "k8s.object.name": "web", "k8s.object.uid": "web", "k8s.object.api_version": "apps/v1",
		"k8s.deployment.name": "web", "k8s.pod.name": "web-*",
	}
	if diff := cmp.Diff(want, got); diff != "" || len(uid) != 32 {
		t.Errorf("uid %q, -want +got:\n%s", uid, diff)
	}
	for key := range want {
		for other := range want {
			if strings.HasPrefix(other, key+".") {
				t.Errorf("Elasticsearch takes no record with %s and %s: one would be a value and an object", key, other)
			}
		}
	}
	if r.Body().AsString() != "no." || r.SeverityText() != "WARN" || !r.Timestamp().Equal(entry(0).Last) {
		t.Errorf("%q at %v, %s", r.Body().AsString(), r.Timestamp(), r.SeverityText())
	}
}

// TestNoteRecord: a note is no failure, so its record has no number of them. Each note
// has a record whose uid follows from its event.
func TestNoteRecord(t *testing.T) {
	w := newWriter(testOptions(), newBackend(taken))
	l, err := w.source.logger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e := entry(2)
	e.Reason, e.Once = failure.Restored, []string{"uid/1", "uid/2"}
	uids := map[string]bool{}
	for _, r := range l.records(w.next(account{e: e}), w.o.Text) {
		got := attributes(&r)
		uids[got[keyRecordUID].AsString()] = true
		if _, has := got[keyFailures]; has || r.SeverityText() != "INFO" || got[keyReason].AsString() != "InjectionRestored" ||
			got["k8s.deployment.name"].AsString() != "web" {
			t.Errorf("%s: %v", r.SeverityText(), got)
		}
	}
	if len(uids) != 2 {
		t.Errorf("%d uids, want 2", len(uids))
	}
}

// TestResource: the environment's attributes win over ours, and the flag over both.
func TestResource(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "k8s.cluster.name=env,service.version=env,team=a%20b")
	t.Setenv("OTEL_SERVICE_NAME", "webhook")
	o := testOptions()
	o.Cluster = "flag"
	r, err := resourceOf(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	want := attribute.NewSet(
		attribute.String("service.name", "webhook"), attribute.String("service.version", "env"), attribute.String("service.instance.id", "telltale-0"),
		attribute.String("k8s.cluster.name", "flag"), attribute.String("k8s.cluster.uid", "cluster-uid"), attribute.String("team", "a b"))
	if got := r.Set(); !got.Equals(&want) {
		t.Errorf("got %v", got.ToSlice())
	}
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "k8s.cluster.uid=env")
	o.ClusterUID = func(context.Context) (string, error) { return "", errors.New("away") }
	if r, err = resourceOf(t.Context(), o); err != nil {
		t.Errorf("the uid is known, and was asked for: %v", err)
	}
	if v, _ := r.Set().Value(keyClusterUID); v.AsString() != "env" {
		t.Errorf("uid %q", v.AsString())
	}
}

// TestClusterUnknown: while it can't be asked for the cluster, nothing is sent. If
// it may not be known, records are without.
func TestClusterUnknown(t *testing.T) {
	t.Parallel()
	b, o := newBackend(taken), testOptions()
	o.ClusterUID = func(context.Context) (string, error) { return "", errors.New("away") }
	if r, err := newWriter(o, b).Write(t.Context(), entry(1)); err == nil || b.requests > 0 || r.Stored > 0 {
		t.Errorf("%+v, %d requests, %v", r, b.requests, err)
	}
	o.ClusterUID = func(context.Context) (string, error) { return "", nil }
	if r, err := newWriter(o, b).Write(t.Context(), entry(1)); err != nil || r.Stored != 1 {
		t.Errorf("%+v: %v", r, err)
	}
}

// FuzzAttributes: whatever a review names, attributes are short and one line each:
// text that is not UTF-8 could not be encoded, and no request with it would go.
func FuzzAttributes(f *testing.F) {
	f.Add("shop", "ReplicaSet", "web-5d7f9689b7", "apps/v1", "proxy", "rev", "pod")
	f.Add("\xff", "\u2028", strings.Repeat("🐎", 400), "\x00", "\xff", "\xff\n", "\x1b[31m")
	f.Fuzz(func(t *testing.T, namespace, kind, name, version, injection, revision, pod string) {
		e := entry(1)
		e.Owner = failure.Ref{APIVersion: version, Kind: kind, Namespace: namespace, Name: name}
		e.Injection.Name, e.Revision, e.Pod = injection, revision, pod
		for _, a := range Attributes(e, 1) {
			if a.Value.Type() != attribute.STRING {
				continue
			}
			if v := a.Value.AsString(); !utf8.ValidString(v) || len(v) > maxValue || oneline.Of(v) != v {
				t.Errorf("%s: %q", a.Key, v)
			}
		}
	})
}
