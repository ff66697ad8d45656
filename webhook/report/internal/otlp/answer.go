package otlp

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	collogpb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// maxAnswer is how many bytes of an answer are read, as the exporter does.
//
// Source: defaultMaxResponseSize, go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp
// v0.23.0 config.go.
const maxAnswer = 4 << 20

// answer is the backend's answer to a request. The exporter returns an error, but
// not its kind: the error of a part that was refused has no public type, and a
// status of HTTP is only text. So the answer is read where it passes.
type answer struct {
	taken   bool // the request, or a part of it
	invalid bool // the same request will never be taken
	refused int64
	message string
	wait    time.Duration
}

type answerKey struct{}

// listen returns a context, and the answer to the request that is made in it.
func listen(ctx context.Context) (context.Context, *answer) {
	a := &answer{}

	return context.WithValue(ctx, answerKey{}, a), a
}

func heard(ctx context.Context) *answer {
	if a, ok := ctx.Value(answerKey{}).(*answer); ok {
		return a
	}

	return &answer{}
}

func (a *answer) part(p *collogpb.ExportLogsPartialSuccess) {
	a.taken = true
	a.refused, a.message = p.GetRejectedLogRecords(), p.GetErrorMessage()
}

// listener is a transport that hears answers by HTTP.
type listener struct{ next http.RoundTripper }

// RoundTrip makes a request.
func (l listener) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(r)
	if err != nil {
		return resp, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))

	return resp, heard(r.Context()).http(resp, body)
}

func (a *answer) http(resp *http.Response, body []byte) error {
	switch code := resp.StatusCode; {
	case code >= 200 && code <= 299:
		var said collogpb.ExportLogsServiceResponse
		if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/x-protobuf") {
			if err := proto.Unmarshal(body, &said); err != nil {
				return err
			}
		}
		a.part(said.GetPartialSuccess())
	case code == http.StatusBadRequest, code == http.StatusRequestEntityTooLarge, code == http.StatusUnprocessableEntity:
		a.invalid = true
	default:
		a.wait = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	}

	return nil
}

// retryAfter reads the header of that name: seconds, or a time.
func retryAfter(s string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(s, 10, 16); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(0, at.Sub(now))
	}

	return 0
}

// intercept hears answers by gRPC.
func intercept(
	ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	err := call(ctx, method, req, reply, conn, opts...)
	a, s := heard(ctx), status.Convert(err)
	switch s.Code() {
	case codes.OK:
		said, _ := reply.(*collogpb.ExportLogsServiceResponse)
		a.part(said.GetPartialSuccess())
	case codes.InvalidArgument:
		a.invalid = true
	default:
		for _, detail := range s.Details() {
			if info, ok := detail.(*errdetails.RetryInfo); ok {
				a.wait = info.GetRetryDelay().AsDuration()
			}
		}
	}

	return err
}
