package pods

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
)

const (
	// qps and burst limit the calls a second.
	qps, burst = 50, 100
	// again is how soon to begin again after an error.
	again = 2 * time.Second
)

// Reporter shows failures to the people that can fix them.
type Reporter interface {
	Report(f failure.Failure)
	// Owed returns the namespaces with failures of some reasons that are still to be
	// shown; "" is for those that can be of any.
	Owed(reasons ...failure.Reason) map[string]bool
}

// Known are the compiled Injections of the cluster.
type Known interface {
	// Match returns the Injections that select a pod.
	Match(pod patches.Traits, namespace string) ([]patches.Match, error)
	// Previews returns the Injections with mode: Preview that select a pod.
	Previews(pod patches.Traits, namespace string) []patches.Match
	// Get returns an Injection, or, without a namespace, a ClusterInjection, or nil.
	Get(namespace, name string) *patches.Injection
	// Stopped tells whether an administrator has stopped all injection, and when it
	// last went on, if this process has seen that.
	Stopped() (stopped bool, ended time.Time)
	// NamespacesUpTo is a resourceVersion: all changes of namespaces up to it are
	// known.
	NamespacesUpTo() string
}

// Counter shows the counts of an Injection, or, without a namespace, of a
// ClusterInjection.
type Counter interface {
	CountPods(name types.NamespacedName, counts v1alpha1.PodCounts)
}

// Reviews knows of pods that have no record because the API server did not wait for
// the answer of a replica, which has reported that.
type Reviews interface {
	// Has tells whether this pod is one, by its trace (patches.Trace).
	Has(trace string, in failure.Injection, pod types.UID) bool
	// HeardSince tells whether all replicas that live have told of such pods since a
	// time.
	HeardSince(at time.Time) bool
}

// noReviews knows of none.
type noReviews struct{}

// Has returns false.
func (noReviews) Has(string, failure.Injection, types.UID) bool { return false }

// HeardSince returns true.
func (noReviews) HeardSince(time.Time) bool { return true }

// Options are what New needs to know.
type Options struct {
	// Namespace is Telltale's own.
	Namespace string
	// Lease is the name of the Lease in it that keeps what the next leader must
	// know.
	Lease string
	// Registration is the name of the MutatingWebhookConfiguration.
	Registration string
	// Stop is the name of the ConfigMap that stops all injection while it exists.
	Stop string
	// StuckAfter is how long an Injection must keep a pod from starting until that is
	// told. Default: 30 s.
	StuckAfter time.Duration
	// WithdrawAfter is how long it must do so until the owner's new pods start without
	// it, if no other pod of the owner has started meanwhile. Default: 2 minutes.
	WithdrawAfter time.Duration
	// Healer hears of ailing pods. Default: nobody.
	Healer Healer
	// Reviews are those that timed out. Default: none.
	Reviews Reviews
	// Tell hears of each InjectionRestored once its event is written. It must not wait.
	// Default: none does.
	Tell func(failure.Failure)
	// Registerer gets the metrics. Default: none.
	Registerer prometheus.Registerer
	// Log gets a line where the audit is in trouble. Default: none.
	Log logr.Logger
}

func (o *Options) setDefaults() {
	o.StuckAfter = cmp.Or(o.StuckAfter, 30*time.Second)
	o.WithdrawAfter = cmp.Or(o.WithdrawAfter, 2*time.Minute)

	if o.Healer == nil {
		o.Healer = nobody{}
	}

	if o.Reviews == nil {
		o.Reviews = noReviews{}
	}
}

// Audit finds the pods that lack an Injection, or do not start because of one.
type Audit struct {
	o          Options
	known      Known
	reporter   Reporter
	counter    Counter
	withdrawer Withdrawer
	cache      cache.Cache
	cached     client.Reader
	live       client.Reader
	core       corev1.CoreV1Interface
	lists      corev1.CoreV1Interface // as core, for lists only: their answers are bounded
	leases     coordinationv1.LeaseInterface
	metrics    *metrics
	some       rate.Sometimes

	told map[string]bool // the names of the failures that were reported, in all terms; only for the term
}

// New returns an Audit with a manager's caches, and clients of its own.
func New(m manager.Manager, known Known, reporter Reporter, counter Counter, withdrawer Withdrawer, o Options) (*Audit, error) {
	o.setDefaults()

	cfg := rest.CopyConfig(m.GetConfig())
	cfg.QPS, cfg.Burst = qps, burst

	live, err := client.New(cfg, client.Options{Scheme: m.GetScheme(), Mapper: m.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("cannot make a client for the audit: %w", err)
	}

	leases, err := coordinationv1.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client for the audit's Lease: %w", err)
	}

	cfg = rest.CopyConfig(cfg)
	cfg.ContentType, cfg.AcceptContentTypes = "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf,application/json"

	core, err := corev1.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client that watches pods: %w", err)
	}

	cfg = rest.CopyConfig(cfg)
	cfg.Wrap(func(calls http.RoundTripper) http.RoundTripper { return bounded{calls} })

	lists, err := corev1.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client that lists pods: %w", err)
	}

	a := &Audit{
		o: o, known: known, reporter: reporter, counter: counter, withdrawer: withdrawer, cache: m.GetCache(), cached: m.GetClient(), live: live,
		core: core, lists: lists, leases: leases.Leases(o.Namespace), metrics: newMetrics(), some: rate.Sometimes{Interval: time.Minute}, told: map[string]bool{},
	}

	if o.Registerer == nil {
		return a, nil
	}

	if err := o.Registerer.Register(a.metrics); err != nil {
		return nil, fmt.Errorf("cannot register the metrics of the audit: %w", err)
	}

	return a, nil
}

// Keep audits until ctx ends. One process at a time should do it: the leader.
func (a *Audit) Keep(ctx context.Context) {
	defer a.metrics.reset()

	_ = wait.PollUntilContextCancel(ctx, again, true, func(context.Context) (bool, error) {
		_, err := a.known.Match(patches.Traits{}, "")

		return err == nil, nil
	})

	wait.UntilWithContext(ctx, func(ctx context.Context) {
		a.complain(ctx, a.term(ctx))
	}, again)
}

// complain logs an error, once a minute.
func (a *Audit) complain(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		a.some.Do(func() { a.o.Log.Error(err, "cannot audit pods, will try again") })
	}
}
