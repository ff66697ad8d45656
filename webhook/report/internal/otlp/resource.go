package otlp

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	otellog "go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
)

// The attributes of the resource: Telltale itself, and its cluster.
const (
	keyService     = "service.name"
	keyVersion     = "service.version"
	keyInstance    = "service.instance.id"
	keyClusterName = "k8s.cluster.name"
	keyClusterUID  = "k8s.cluster.uid"
)

// service is service.name, unless the environment has another.
const service = "telltale"

// source makes the logger, once the cluster's uid is known.
type source struct {
	o    Options
	mu   sync.Mutex
	made *logger
}

// logger makes records. The SDK gives them the resource, and the limits of the
// environment.
type logger struct{ logger otellog.Logger }

// logger returns the one logger. As long as the cluster's uid can't be asked for,
// it returns an error.
func (s *source) logger(ctx context.Context) (*logger, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made != nil {
		return s.made, nil
	}
	known, err := resourceOf(ctx, s.o)
	if err != nil {
		return nil, err
	}
	provider := sdklog.NewLoggerProvider(sdklog.WithResource(known), sdklog.WithProcessor(capture{}))
	s.made = &logger{provider.Logger("github.com/telltale-dev/telltale/webhook/report", otellog.WithInstrumentationVersion(s.o.Version))}

	return s.made, nil
}

// resourceOf returns the resource of all records. The environment's attributes
// win over ours, and the options win over both.
func resourceOf(ctx context.Context, o Options) (*resource.Resource, error) {
	ours := []attribute.KeyValue{
		attribute.String(keyService, service),
		attribute.String(keyVersion, o.Version),
		attribute.String(keyInstance, cmp.Or(o.Instance, random())),
	}
	var chosen []attribute.KeyValue
	if o.Cluster != "" {
		chosen = append(chosen, attribute.String(keyClusterName, o.Cluster))
	}
	r, err := resource.New(ctx, resource.WithAttributes(ours...), resource.WithFromEnv(), resource.WithAttributes(chosen...))
	if err != nil {
		return nil, fmt.Errorf("cannot tell of which cluster these records are: %w", err)
	}
	if r.Set().HasValue(keyClusterUID) {
		return r, nil
	}
	uid, err := o.ClusterUID(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot tell which cluster this is: %w", err)
	}
	if uid == "" {
		return r, nil
	}

	return resource.Merge(r, resource.NewSchemaless(attribute.String(keyClusterUID, uid)))
}

// captured is the key of a context to the records that are made in it.
type captured struct{}

// record makes a record for the exporter. The SDK makes one for a processor only.
func (l *logger) record(r otellog.Record) (made []sdklog.Record) {
	l.logger.Emit(context.WithValue(context.Background(), captured{}, &made), r)

	return made
}

// capture is a processor that hands records to whoever made them.
type capture struct{}

// Enabled returns true: all records are made to be sent.
func (capture) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }

// OnEmit hands a record over.
func (capture) OnEmit(ctx context.Context, r *sdklog.Record) error {
	if made, ok := ctx.Value(captured{}).(*[]sdklog.Record); ok {
		*made = append(*made, r.Clone())
	}

	return nil
}

// Shutdown does nothing: no record stays here.
func (capture) Shutdown(context.Context) error { return nil }

// ForceFlush does nothing: no record stays here.
func (capture) ForceFlush(context.Context) error { return nil }
