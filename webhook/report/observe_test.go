//go:build apiserver && observe

package report

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/test/backends"
	"github.com/telltale-dev/telltale/test/harness"
	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// observed are Reporters that write events to a real API server, and send records
// to a real store. The test's namespace is the name of their cluster there.
type observed struct {
	cluster

	store     *backends.Store
	reporters []*Reporter
	ends      []func()
	owners    []failure.Ref
	n         int64
}

// observe starts three of them, and makes 50 Deployments.
func observe(t *testing.T, to *backends.Store, protocol, endpoint string) *observed {
	t.Helper()
	t.Setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", endpoint)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
	t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
	o := &observed{cluster: newCluster(t), store: to}
	for range 3 {
		log := &lines{}
		r, err := New(cp.Config, Options{
			QPS: 200, Burst: 200, Every: 2 * time.Second, Records: Records{Cluster: o.namespace}, Log: funcr.New(log.add, funcr.Options{}),
		})
		if err != nil {
			t.Fatal(err)
		}
		o.reporters = append(o.reporters, r)
		o.ends = append(o.ends, start(t, r))
	}
	for i := range 50 {
		web := o.made(deploymentOf(fmt.Sprintf("web-%d", i)))
		o.owners = append(o.owners, o.replicaSet(fmt.Sprintf("web-%d-1", i), web))
	}

	return o
}

// fail reports failures on all owners and all Reporters in turn.
func (o *observed) fail(n int) {
	for i := range n {
		o.reporters[i%3].Report(failed(o.owners[i%50]))
		o.n++
		if i%100 == 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func (o *observed) pending(sink int) (n int64) {
	for _, r := range o.reporters {
		n += r.branches[sink].pending()
	}

	return n
}

// drained waits until a sink has nothing pending.
func (o *observed) drained(sink int) {
	o.t.Helper()
	harness.Eventually(o.t, "nothing pending", func(context.Context) error {
		if n := o.pending(sink); n > 0 {
			return fmt.Errorf("%d are", n)
		}

		return nil
	})
}

// sums fails the test unless the events and the store have all failures but those
// that the store refused.
func (o *observed) sums(refused int64) {
	o.t.Helper()
	list := &corev1.EventList{}
	if err := o.List(o.t.Context(), list, client.InNamespace(o.namespace)); err != nil {
		o.t.Fatal(err)
	}
	var events int64
	for i := range list.Items {
		events += int64(list.Items[i].Count)
	}
	if len(list.Items) != 50 || events != o.n {
		o.t.Errorf("%d events with %d failures, want 50 with %d", len(list.Items), events, o.n)
	}
	harness.Eventually(o.t, "the store", func(ctx context.Context) error {
		n, err := o.store.Failures(ctx, o.namespace)
		if err == nil && n != o.n-refused {
			err = fmt.Errorf("it has %d failures of %d, and refused %d", n, o.n, refused)
		}

		return err
	})
}

// counted returns how many failures the store refused, and fails the test unless
// the sink's sums add up.
func (o *observed) counted() (refused int64) {
	o.t.Helper()
	var s ledger.Stats
	var sum int64
	for _, r := range o.reporters {
		r.branches[1].locked(func() { s = r.branches[1].ledger.Stats() })
		refused += s.Unreported[ledger.Partial]
		sum += s.Reported + s.Pending + s.Unreported[ledger.Partial]
	}
	if sum != o.n {
		o.t.Errorf("%d failures, and reported, pending and unreported are %d", o.n, sum)
	}

	return refused
}

// TestObserveSums: 10,000 failures on 50 owners, at three Reporters, are in the store:
// straight, and by way of a Collector, by HTTP and by gRPC. All clusters are in one
// store, and none has a record of another.
func TestObserveSums(t *testing.T) {
	to := backends.StartStore(t)
	byHTTP, byGRPC := "127.0.0.1:"+harness.FreePort(t), "127.0.0.1:"+harness.FreePort(t)
	backends.StartCollector(t, backends.Relay(byHTTP, byGRPC, to))
	for name, way := range map[string]struct{ protocol, endpoint string }{
		"Straight":      {"http/protobuf", to.Endpoint()},
		"CollectorHTTP": {"http/protobuf", "http://" + byHTTP + "/v1/logs"},
		"CollectorGRPC": {"grpc", "http://" + byGRPC},
	} {
		t.Run(name, func(t *testing.T) {
			o := observe(t, to, way.protocol, way.endpoint)
			o.fail(10_000)
			o.drained(0)
			o.drained(1)
			o.counted()
			o.sums(0)
			rows, err := to.Query(t.Context(), fmt.Sprintf(`"k8s.cluster.name":=%q | uniq by ("k8s.namespace.name", "k8s.cluster.uid")`, o.namespace))
			if err != nil || len(rows) != 1 || rows[0]["k8s.namespace.name"] != o.namespace || rows[0]["k8s.cluster.uid"] == "" {
				t.Errorf("the store has, under this cluster's name, %v: %v", rows, err)
			}
			for _, end := range o.ends {
				end()
			}
		})
	}
	questions(t, to)
}

// questions runs the LogsQL of docs/observe.md.
func questions(t *testing.T, to *backends.Store) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/observe.md")
	if err != nil {
		t.Fatal(err)
	}
	queries := regexp.MustCompile("(?s)```logsql\n(.*?)\n```").FindAllStringSubmatch(string(doc), -1)
	if len(queries) != 5 {
		t.Errorf("docs/observe.md has %d queries in LogsQL", len(queries))
	}
	month := regexp.MustCompile(`_time:\d{4}-\d\d `)
	for _, q := range queries {
		query := month.ReplaceAllString(q[1], time.Now().UTC().Format("_time:2006-01 "))
		rows, err := to.Query(t.Context(), query)
		if err != nil || len(rows) == 0 || rows[0]["failures"] == "0" || rows[0]["failures"]+rows[0]["since"] == "" {
			t.Errorf("%s: %v: %v", query, rows, err)
		}
	}
}

// TestObserveFaults: the store answers 429 and 503, loses answers, is away. Events
// come all the same. In the end it has each failure once.
func TestObserveFaults(t *testing.T) {
	to := backends.StartStore(t)
	f := backends.StartFaults(t, to)
	o := observe(t, to, "http/protobuf", f.Endpoint())
	f.Set(backends.Throttle, backends.LoseAnswer, backends.Unavailable, backends.Pass)
	o.fail(3000)
	o.drained(0)
	f.Set(backends.Cut)
	o.fail(3000)
	o.drained(0)
	if o.pending(1) == 0 {
		t.Error("no record is pending, though the store is away")
	}
	f.Set(backends.Pass, backends.LoseAnswer)
	o.fail(1000)
	o.drained(0)
	f.Set(backends.Pass)
	o.drained(1)
	o.sums(o.counted())
	if f.Count(backends.LoseAnswer) == 0 || f.Count(backends.Throttle) == 0 {
		t.Errorf("faults are missing: %v", f)
	}
	t.Log(f)
	for _, end := range o.ends {
		end()
	}
}

// TestObservePartial: requests are taken in part. Nothing of them is sent again, and
// their failures are counted.
func TestObservePartial(t *testing.T) {
	to := backends.StartStore(t)
	f := backends.StartFaults(t, to)
	f.Set(backends.Pass, backends.Partial)
	o := observe(t, to, "http/protobuf", f.Endpoint())
	o.fail(3000)
	o.drained(0)
	o.drained(1)
	refused := o.counted()
	if refused == 0 {
		t.Error("nothing was refused")
	}
	o.sums(refused)
	t.Logf("%d of %d refused: %v", refused, o.n, f)
	for _, end := range o.ends {
		end()
	}
}

// TestObserveEnd: at the end, all that is owed goes to both sinks.
func TestObserveEnd(t *testing.T) {
	to := backends.StartStore(t)
	o := observe(t, to, "http/protobuf", to.Endpoint())
	o.fail(3000)
	for _, end := range o.ends {
		end()
	}
	if events, records := o.pending(0), o.pending(1); events+records > 0 {
		t.Errorf("%d for events and %d for records are left", events, records)
	}
	o.sums(0)
}
