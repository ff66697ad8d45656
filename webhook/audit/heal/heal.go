// Package heal evicts pods that would be better off as new ones: their replacements
// get an Injection that they missed, or start without one that keeps them from
// starting.
//
//	h := heal.New(manager, known, heal.Options{Missed: true, Well: canary.Well})
//	h.Keep(ctx) // in the leader
//	h.Ails(…)   // from the audit of pods
//
// It is careful. It evicts by the API, so that PodDisruptionBudgets are kept; one pod
// of an owner at a time, and the next once all other pods of its controllers are
// ready; a few a minute in all; and only while the API server asks Telltale about new
// pods. If a replacement is no better, the owner is left alone for an hour. A pod
// without a controller is never evicted, nor one of a Job, for which each eviction is
// a failure.
//
// It remembers nothing that the API server does not have. Before each eviction it
// reads the controllers and their pods, and writes into a Lease what it is about to
// do. So a new leader goes on where the last one ended: it evicts no second pod, and
// each eviction has its event, once (TestKilled).
package heal

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/webhook/failure"
)

const (
	// period is how often it looks for pods to evict.
	period = 5 * time.Second
	// qps and burst limit the calls a second.
	qps, burst = 20, 40
	// inVain is how long an owner is left alone, after an eviction, whose replacement is
	// no better.
	inVain = time.Hour
	// callTimeout bounds one eviction.
	callTimeout = 10 * time.Second
	// refused is how long an owner is left alone whose PodDisruptionBudget does not
	// allow an eviction now, or that could not be read.
	refused = 30 * time.Second
)

// Known are the compiled Injections of the cluster.
type Known interface {
	// Get returns an Injection, or, without a namespace, a ClusterInjection, or nil.
	Get(namespace, name string) *patches.Injection
}

// Options say which pods are healed, and when.
type Options struct {
	// Missed heals pods that Telltale was not asked about.
	Missed bool
	// Stuck heals pods that never started because of an Injection, once it is
	// withdrawn from their owner.
	Stuck bool
	// PerMinute is how many pods are evicted a minute at most. Default: 10.
	PerMinute int
	// Namespace is Telltale's own, and Lease is the name of the Lease there that has
	// the eviction that is under way, for the next leader.
	Namespace, Lease string
	// Well tells whether the API server asks Telltale about new pods.
	Well func() bool
	// Tell hears of each eviction once its event is written. It must not wait. Default:
	// none does.
	Tell func(failure.Failure)
	// Log gets a line for each eviction, and where there is trouble. Default: none.
	Log logr.Logger
}

// Healer evicts pods. It is safe for concurrent use.
type Healer struct {
	o        Options
	known    Known
	reader   client.Reader
	core     corev1client.CoreV1Interface
	leases   coordinationv1client.LeaseInterface
	limit    *rate.Limiter
	complain rate.Sometimes

	mu       sync.Mutex
	patients map[types.UID]patient

	owners map[types.UID]failure.Ref // of controllers; only for Keep, as those that follow
	last   map[types.UID]treatment   // by owner
	rests  map[types.UID]time.Time   // until when an owner is left alone

	journal journal

	period, underWay time.Duration // shorter in tests
}

// New returns a Healer with clients of its own.
func New(m manager.Manager, known Known, o Options) (*Healer, error) {
	cfg := rest.CopyConfig(m.GetConfig())
	cfg.QPS, cfg.Burst = qps, burst

	reader, err := client.New(cfg, client.Options{Scheme: m.GetScheme(), Mapper: m.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("cannot make a client that reads the controllers of pods: %w", err)
	}

	core, err := corev1client.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client that writes events: %w", err)
	}

	leases, err := coordinationv1client.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client for the Lease of the healer: %w", err)
	}

	perMinute := cmp.Or(o.PerMinute, 10)

	return &Healer{
		o: o, known: known, reader: reader, core: core, patients: map[types.UID]patient{},
		leases: leases.Leases(o.Namespace), period: period, underWay: underWay,
		limit:    rate.NewLimiter(rate.Every(time.Minute/time.Duration(perMinute)), 1),
		complain: rate.Sometimes{Interval: time.Minute},
	}, nil
}

// Keep evicts pods until ctx ends. One process at a time should do it: the leader.
func (h *Healer) Keep(ctx context.Context) {
	h.owners, h.last, h.rests = map[types.UID]failure.Ref{}, nil, map[types.UID]time.Time{}

	defer h.forgetAll() // not at the start: the audit begins at the same time

	wait.UntilWithContext(ctx, func(ctx context.Context) {
		if err := h.round(ctx); err != nil && ctx.Err() == nil {
			h.complain.Do(func() { h.o.Log.Error(err, "cannot heal pods now, will try again") })
		}
	}, h.period)
}

// round takes one step for each owner.
func (h *Healer) round(ctx context.Context) error {
	if err := h.load(ctx); err != nil {
		return err
	}

	if isDone, err := h.checkIntent(ctx); err != nil || !isDone {
		return err
	}

	owners, err := h.byOwner(ctx)
	if err != nil {
		return err
	}

	for _, o := range owners {
		if now := time.Now(); !h.o.Well() || h.limit.TokensAt(now) < 1 || h.last == nil || h.journal.in != nil {
			return nil
		} else if now.Before(h.rests[o.ref.UID]) {
			continue
		}

		pause, err := h.treat(ctx, o)
		if err != nil {
			h.o.Log.V(1).Info("an owner could not be healed", "owner", o.ref.String(), "error", err.Error())

			pause = max(pause, refused)
		}

		if pause > 0 {
			h.rests[o.ref.UID] = time.Now().Add(pause)
		}
	}

	return nil
}

// load reads what earlier leaders have done, once.
func (h *Healer) load(ctx context.Context) error {
	if h.last != nil {
		return nil
	}

	journal, err := h.open(ctx)
	if err != nil {
		return err
	}

	last, err := h.loadLast(ctx)
	if err == nil {
		h.journal, h.last = journal, last
	}

	return err
}
