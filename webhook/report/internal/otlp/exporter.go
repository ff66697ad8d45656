package otlp

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// reconnect is the longest time between two tries to connect by gRPC. By default
// it is two minutes, and so long would a backend be waited for that is back.
const reconnect = 10 * time.Second

// newExporter makes an exporter that never tries again itself: the ledger does. It
// makes no call. It reads the endpoint, the headers and the compression from the
// environment, too.
func newExporter(env environment) (sdklog.Exporter, error) {
	if env.protocol == protocolGRPC {
		connect := grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: env.timeout}
		connect.Backoff.MaxDelay = reconnect

		return otlploggrpc.New(context.Background(),
			otlploggrpc.WithRetry(otlploggrpc.RetryConfig{}),
			otlploggrpc.WithDialOption(grpc.WithUnaryInterceptor(intercept), grpc.WithConnectParams(connect)))
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = env.tls

	return otlploghttp.New(context.Background(),
		otlploghttp.WithRetry(otlploghttp.RetryConfig{}),
		otlploghttp.WithHTTPClient(&http.Client{Transport: listener{transport}, Timeout: env.timeout}))
}
