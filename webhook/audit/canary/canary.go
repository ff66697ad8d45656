package canary

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/util/wait"
	admissionregistrationv1client "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	discoveryv1client "k8s.io/client-go/kubernetes/typed/discovery/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

const (
	// askTimeout is how long one canary pod may take. It is more than a registration
	// can have the API server wait for Telltale.
	askTimeout = 35 * time.Second
	// callTimeout bounds one other call.
	callTimeout = 10 * time.Second
	// hurry is by how much sooner than after the interval the next pod follows where
	// an answer may turn the state.
	hurry = 6
	// again is how soon to begin again if the Lease can't be read or written.
	again = 2 * time.Second
)

// Options are what New needs to know.
type Options struct {
	// Interval is the time between two canary pods. While the state may turn, it is
	// a sixth of that. Default: 1 minute.
	Interval time.Duration
	// Namespace is Telltale's own.
	Namespace string
	// Home is the namespace of the canary pods.
	Home string
	// Lease is the name of the Lease in Namespace that keeps what the next leader
	// must know.
	Lease string
	// Registration is the name of the MutatingWebhookConfiguration.
	Registration string
	// Service is the name of Telltale's Service in Namespace, and Path is the
	// webhook's.
	Service, Path string
	// Pod is the name of this process' own pod, in Namespace. Its Deployment gets
	// the events. Default: no events.
	Pod string
	// Begin tells whether the API server can ask this process already. For one
	// interval at most, the first pod waits until it can. Default: it can.
	Begin func() bool
	// Registerer gets the metric telltale_canary. Default: none.
	Registerer prometheus.Registerer
	// Log gets what the events say, and a line where the canary is in trouble.
	Log logr.Logger
}

// Canary asks the API server to create canary pods.
type Canary struct {
	o             Options
	reader        client.Reader
	core          corev1client.CoreV1Interface
	leases        coordinationv1client.LeaseInterface
	slices        discoveryv1client.EndpointSliceInterface
	registrations admissionregistrationv1client.MutatingWebhookConfigurationInterface
	metrics       *metrics
	some          rate.Sometimes
	well          atomic.Int64 // when a whole pod came back, in Unix nanoseconds; 0: the last one was not
}

// New returns a Canary with clients of its own.
func New(m manager.Manager, o Options) (*Canary, error) {
	o.Interval = cmp.Or(o.Interval, time.Minute)
	if o.Begin == nil {
		o.Begin = func() bool { return true }
	}

	c := &Canary{o: o, reader: m.GetAPIReader(), metrics: &metrics{}, some: rate.Sometimes{Interval: time.Minute}}
	if err := c.connect(m.GetConfig()); err != nil {
		return nil, fmt.Errorf("cannot make a client for the canary: %w", err)
	}

	if o.Registerer == nil {
		return c, nil
	}

	if err := o.Registerer.Register(c.metrics); err != nil {
		return nil, fmt.Errorf("cannot register the metric of the canary: %w", err)
	}

	return c, nil
}

func (c *Canary) connect(cfg *rest.Config) error {
	asking := rest.CopyConfig(cfg)
	asking.QPS, asking.Timeout, asking.WarningHandler = -1, askTimeout, rest.NoWarnings{} // a few calls a minute

	core, err := corev1client.NewForConfig(asking)
	if err != nil {
		return err
	}

	asking.Timeout = callTimeout

	leases, err := coordinationv1client.NewForConfig(asking)
	if err != nil {
		return err
	}

	slices, err := discoveryv1client.NewForConfig(asking)
	if err != nil {
		return err
	}

	registrations, err := admissionregistrationv1client.NewForConfig(asking)
	if err != nil {
		return err
	}

	c.core, c.leases = core, leases.Leases(c.o.Namespace)
	c.slices, c.registrations = slices.EndpointSlices(c.o.Namespace), registrations.MutatingWebhookConfigurations()

	return nil
}

// Well tells whether the last canary pod came back with its Injection, not long ago,
// and no outage lasts. It is false where this process does not lead.
func (c *Canary) Well() bool {
	at := c.well.Load()

	return at != 0 && time.Since(time.Unix(0, at)) < 2*c.o.Interval
}

// Keep asks until ctx ends. One process at a time should do it: the leader.
func (c *Canary) Keep(ctx context.Context) {
	defer c.metrics.reset()
	defer c.well.Store(0)

	begin, cancel := context.WithTimeout(ctx, c.o.Interval)
	defer cancel()

	_ = wait.PollUntilContextCancel(begin, time.Second, true, func(context.Context) (bool, error) { return c.o.Begin(), nil })

	wait.UntilWithContext(ctx, func(ctx context.Context) {
		if c.complain(ctx, c.term(ctx)) != nil {
			c.metrics.set(Unknown)
			c.well.Store(0)
		}
	}, again)
}

// complain logs an error, once a minute, and returns it.
func (c *Canary) complain(ctx context.Context, err error) error {
	if err != nil && ctx.Err() == nil {
		c.some.Do(func() { c.o.Log.Error(err, "the canary can't tell, will try again") })
	}

	return err
}
