package backends

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/telltale-dev/telltale/test/child"
	"github.com/telltale-dev/telltale/test/controlplane"
	"github.com/telltale-dev/telltale/test/telltale"
)

// Store is a real VictoriaLogs.
type Store struct {
	*child.Process

	Address string
}

// LaunchStore starts a VictoriaLogs. Its data are in a folder.
func LaunchStore(ctx context.Context, dir string) (*Store, error) {
	at, err := controlplane.FreeAddress()
	if err != nil {
		return nil, err
	}
	process, err := serve(ctx, dir, "http://"+at+"/health", backendsFolder, "victoria-logs",
		"-storageDataPath="+filepath.Join(dir, "victoria-logs"), "-httpListenAddr="+at, "-memory.allowedBytes=64MB",
		"-retentionPeriod=10y", "-inmemoryDataFlushInterval=1s")

	return &Store{Process: process, Address: at}, err
}

// StartStore starts a VictoriaLogs that ends with the test.
func StartStore(t *testing.T) *Store {
	t.Helper()
	s, err := LaunchStore(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	endWith(t, s.Process, "VictoriaLogs")

	return s
}

// Endpoint is where it takes logs by OTLP.
func (s *Store) Endpoint() string { return "http://" + s.Address + "/insert/opentelemetry/v1/logs" }

// Query returns the answer to a query in LogsQL: an object for each row.
func (s *Store) Query(ctx context.Context, query string) (rows []map[string]string, err error) {
	body, err := telltale.Get(ctx, "http://"+s.Address+"/select/logsql/query?query="+url.QueryEscape(query))
	for line := range bytes.Lines(body) {
		var row map[string]string
		if err == nil {
			err = json.Unmarshal(line, &row)
		}
		rows = append(rows, row)
	}

	return rows, err
}

// Failures sums telltale.failures over distinct uids, of a cluster.
func (s *Store) Failures(ctx context.Context, cluster string) (int64, error) {
	return s.Number(ctx, fmt.Sprintf(`"k8s.cluster.name":=%q "log.record.uid":* "telltale.failures":* `+
		`| uniq by ("log.record.uid", "telltale.failures") | stats sum("telltale.failures") as n`, cluster))
}

// Number returns n of the one row of a query's answer.
func (s *Store) Number(ctx context.Context, query string) (int64, error) {
	rows, err := s.Query(ctx, query)
	if err != nil || len(rows) != 1 {
		return 0, errors.Join(fmt.Errorf("%d rows", len(rows)), err)
	}
	n, err := strconv.ParseFloat(rows[0]["n"], 64)
	if err != nil { // NaN: nothing is there
		return 0, fmt.Errorf("the number is %q", rows[0]["n"])
	}

	return int64(n), nil
}
