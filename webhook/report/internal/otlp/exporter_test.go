package otlp

import (
	"compress/gzip"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	collogpb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// said is what a backend answers, by either protocol.
type said struct {
	status  int        // by HTTP
	code    codes.Code // by gRPC
	wait    time.Duration
	partial *collogpb.ExportLogsPartialSuccess
}

func (s said) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if s.wait > 0 {
		w.Header().Set("Retry-After", "7")
	}
	body, err := proto.Marshal(&collogpb.ExportLogsServiceResponse{PartialSuccess: s.partial})
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.WriteHeader(s.status)
	_, _ = w.Write(body)
}

// logs answers by gRPC.
type logs struct {
	collogpb.UnimplementedLogsServiceServer
	said
}

func (s logs) Export(context.Context, *collogpb.ExportLogsServiceRequest) (*collogpb.ExportLogsServiceResponse, error) {
	failed := status.New(s.code, "no")
	if s.wait > 0 {
		var err error
		if failed, err = failed.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(s.wait)}); err != nil {
			return nil, err
		}
	}
	if s.code != codes.OK {
		return nil, failed.Err()
	}

	return &collogpb.ExportLogsServiceResponse{PartialSuccess: s.partial}, nil
}

// TestAnswers: the same answer means the same by HTTP and by gRPC.
func TestAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		said    said
		refused ledger.Cause
		fails   bool
		wait    time.Duration
	}{
		"Taken":       {reason: "All is there.", said: said{status: 200}},
		"Warned":      {reason: "A message alone refuses nothing.", said: said{status: 202, partial: &collogpb.ExportLogsPartialSuccess{ErrorMessage: "slow down"}}},
		"Partial":     {reason: "A part is not there, nobody knows which.", said: said{status: 200, partial: &collogpb.ExportLogsPartialSuccess{RejectedLogRecords: 1, ErrorMessage: "too old"}}, refused: ledger.Partial},
		"Invalid":     {reason: "It would never be taken.", said: said{status: 400, code: codes.InvalidArgument}, refused: ledger.RecordInvalid},
		"Throttled":   {reason: "It asks for time.", said: said{status: 429, code: codes.ResourceExhausted, wait: 7 * time.Second}, fails: true, wait: 7 * time.Second},
		"Unavailable": {reason: "It is away.", said: said{status: 503, code: codes.Unavailable}, fails: true},
		"Forbidden":   {reason: "The header may be wrong: that can be mended.", said: said{status: 401, code: codes.Unauthenticated}, fails: true},
		"NotFound":    {reason: "The path may be wrong: that can be mended.", said: said{status: 404, code: codes.Unimplemented}, fails: true},
		"Broken":      {reason: "A bug may be mended.", said: said{status: 500, code: codes.Internal}, fails: true},
	} {
		for _, protocol := range []string{protocolHTTP, protocolGRPC} {
			t.Run(name+"/"+protocol, func(t *testing.T) {
				w := writerTo(t, protocol, tc.said)
				r, err := w.Write(t.Context(), entry(2))
				asked, _ := errors.AsType[*ledger.WaitError](err)
				switch {
				case (err != nil) != tc.fails, (asked != nil) != (tc.wait > 0), asked != nil && asked.Wait != tc.wait, r.Unclear != tc.fails:
					t.Errorf("%s got %+v: %v", tc.reason, r, err)
				case tc.fails:
				case tc.refused == "" && r.Stored != 2, tc.refused != "" && (r.Stored != 0 || r.Refused != 2 || r.Why != tc.refused):
					t.Errorf("%s got %+v", tc.reason, r)
				}
			})
		}
	}
}

// writerTo returns a Writer to a server that answers as said.
func writerTo(t *testing.T, protocol string, s said) *Writer {
	t.Helper()
	clean(t)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
	if protocol == protocolHTTP {
		server := httptest.NewServer(s)
		t.Cleanup(server.Close)
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	} else {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := grpc.NewServer()
		collogpb.RegisterLogsServiceServer(server, logs{said: s})
		go server.Serve(listener) //nolint:errcheck // it ends when the test stops it
		t.Cleanup(server.Stop)
		t.Setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://"+listener.Addr().String())
	}
	w, err := NewWriter(testOptions())
	if err != nil {
		t.Fatal(err)
	}

	return w
}

// TestVariables: CAs, headers, compression and the path hold, and so does the
// time-out.
func TestVariables(t *testing.T) {
	clean(t)
	got := make(chan *collogpb.ExportLogsServiceRequest, 1)
	hang := make(chan struct{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := gzip.NewReader(r.Body)
		if err != nil || r.Header.Get("Authorization") != "Bearer a b" || r.URL.Path != "/otlp/v1/logs" {
			t.Errorf("%s %v: %v", r.URL.Path, r.Header, err)
			w.WriteHeader(http.StatusForbidden)

			return
		}
		data, err := io.ReadAll(body)
		var request collogpb.ExportLogsServiceRequest
		if err = errors.Join(err, proto.Unmarshal(data, &request)); err != nil {
			t.Error(err)
		}
		select {
		case got <- &request:
		default:
			<-hang
		}
	}))
	defer server.Close()
	defer close(hang)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL+"/otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", ca)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20a%20b,X-Scope-OrgID=1")
	t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
	t.Setenv("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "2000")
	w, err := NewWriter(testOptions())
	if err != nil {
		t.Fatal(err)
	}
	r, err := w.Write(t.Context(), entry(2))
	if err != nil || r.Stored != 2 {
		t.Fatalf("%+v: %v", r, err)
	}
	request := <-got
	if logs := request.GetResourceLogs(); len(logs) != 1 || len(logs[0].GetScopeLogs()[0].GetLogRecords()) != 1 {
		t.Errorf("got %v", request)
	}
	got <- nil // full: the next request hangs
	if _, err := w.Write(t.Context(), entry(2)); err == nil {
		t.Error("no error, though the backend did not answer")
	}
}
