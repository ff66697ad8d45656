// Package leader elects one of many replicas, by a Lease, for the work that only
// one may do. All else goes on in every replica.
//
//	l, err := leader.New(cfg, leader.Options{Namespace: "telltale-system", Name: "telltale"}, work)
//	err = manager.Add(l)
//
// A replica that loses the Lease, as each does while the API server is away,
// ends its work, lives on, and stands for election again (TestOutage). This is
// why controller-runtime's own election is not used: it ends the process.
package leader

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// The durations that Kubernetes' own components use. A leader that can't renew
// the Lease ends its work after renewDeadline; others lead after leaseDuration.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
	// callTimeout bounds one call. A retry, the deadline and a last call to give
	// up the Lease are less than leaseDuration, so that work has ended in one
	// replica before it begins in another.
	callTimeout = 2500 * time.Millisecond
	// lookAtFitness is how often Options.Fit is asked.
	lookAtFitness = time.Second
)

// Options are what New needs to know.
type Options struct {
	// Namespace and Name are those of the Lease.
	Namespace, Name string
	// Identity is this process' name in the Lease. Default: $POD_NAME, else the
	// host's name and something random.
	Identity string
	// Registerer gets the metric telltale_leader. Default: none.
	Registerer prometheus.Registerer
	// Log gets a line when leadership begins or ends. Default: none.
	Log logr.Logger
	// Fit tells whether this process may lead. A leader that is not fit any more
	// gives up the Lease within a second. Default: it may.
	Fit func() bool
}

// Leader stands for election for as long as Start runs.
type Leader struct {
	config  leaderelection.LeaderElectionConfig
	log     logr.Logger
	fit     func() bool
	work    []func(context.Context)
	leads   atomic.Bool
	working sync.Mutex // held while the work runs
}

// New returns a Leader. All of the work is started, side by side, each time this
// process becomes the leader, and has to return soon after its context ends.
func New(cfg *rest.Config, o Options, work ...func(context.Context)) (*Leader, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.Timeout = callTimeout

	client, err := coordinationv1.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client for the Lease: %w", err)
	}

	l := &Leader{log: o.Log, work: work, fit: o.Fit}
	if l.fit == nil {
		l.fit = func() bool { return true }
	}

	l.config = leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name},
			Client:     client,
			LockConfig: resourcelock.ResourceLockConfig{Identity: cmp.Or(o.Identity, Identity())},
		},
		LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
		ReleaseOnCancel: true, Name: o.Name,
	}

	if o.Registerer == nil {
		return l, nil
	}

	if err := o.Registerer.Register(l.metric()); err != nil {
		return nil, fmt.Errorf("cannot register a metric: %w", err)
	}

	return l, nil
}

func (l *Leader) metric() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "telltale_leader",
		Help: "1 where this replica is the one that writes the status of Injections, else 0.",
	}, func() float64 {
		if l.Leads() {
			return 1
		}

		return 0
	})
}

// Identity is a pod's name, which is its own even after its container was
// restarted, or a name that no other process has.
func Identity() string {
	host, _ := os.Hostname()

	return cmp.Or(os.Getenv("POD_NAME"), host+"_"+rand.Text())
}

// Leads tells whether this process is the leader now.
func (l *Leader) Leads() bool { return l.leads.Load() }

// NeedLeaderElection is for controller-runtime: every replica stands for
// election.
func (l *Leader) NeedLeaderElection() bool { return false }

// Start stands for election, again after each loss, until ctx ends. Then it
// waits for the work to end, and gives up the Lease, so that another replica
// leads at once.
func (l *Leader) Start(ctx context.Context) error {
	for l.awaitFitness(ctx) {
		if err := l.standWhileFit(ctx); err != nil {
			return err
		}
	}

	return nil
}

// awaitFitness waits until this process may lead. It returns false when ctx ends.
func (l *Leader) awaitFitness(ctx context.Context) bool {
	fit := func(context.Context) (bool, error) { return l.fit(), nil }

	return wait.PollUntilContextCancel(ctx, lookAtFitness, true, fit) == nil && ctx.Err() == nil
}

func (l *Leader) standWhileFit(ctx context.Context) error {
	fit, end := context.WithCancel(ctx)
	defer end()

	go l.endWhenUnfit(fit, end)

	return l.stand(fit)
}

// endWhenUnfit calls end as soon as this process must not lead.
func (l *Leader) endWhenUnfit(ctx context.Context, end func()) {
	_ = wait.PollUntilContextCancel(ctx, lookAtFitness, false, func(context.Context) (bool, error) { return !l.fit(), nil })

	end()
}

// stand returns when this process has been the leader and is no longer, or when
// ctx has ended.
func (l *Leader) stand(ctx context.Context) error {
	// The election outlives ctx, by the time that the work takes to end.
	election, leave := context.WithCancel(logr.NewContext(context.WithoutCancel(ctx), l.log))
	defer leave()
	defer context.AfterFunc(ctx, func() {
		l.working.Lock()
		defer l.working.Unlock()

		leave()
	})()

	config := l.config
	config.Callbacks = leaderelection.LeaderCallbacks{
		OnStartedLeading: func(lease context.Context) { l.lead(ctx, lease) },
		OnStoppedLeading: func() {},
	}

	elector, err := leaderelection.NewLeaderElector(config)
	if err != nil {
		return fmt.Errorf("cannot stand for election: %w", err)
	}

	elector.Run(election)

	return nil
}

// lead runs the work until either context ends. It begins after the work of the
// last time has ended.
func (l *Leader) lead(ctx, lease context.Context) {
	l.working.Lock()
	defer l.working.Unlock()

	lease, stop := context.WithCancel(lease)
	defer stop()
	defer context.AfterFunc(ctx, stop)()

	if lease.Err() != nil {
		return
	}

	l.log.Info("leads")
	l.leads.Store(true)

	defer func() {
		l.leads.Store(false)
		l.log.Info("leads no longer")
	}()

	var all sync.WaitGroup
	for _, work := range l.work {
		all.Go(func() { work(lease) })
	}

	<-lease.Done()
	all.Wait()
}
