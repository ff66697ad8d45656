// Package freshness compares how new the views of the replicas are. A replica with
// an old view of the Injections would leave pods alone that an Injection selects,
// without a word.
//
//	f, err := freshness.New(cfg, freshness.Options{Namespace: "telltale-system", Name: "telltale-replicas", …})
//	err = manager.Add(f)
//	f.Err()                     // not nil: this replica can't tell what a pod should get
//	f.Lacks("Injection", "123") // the name of a replica that has not handled this edit
//
// Each replica writes a heartbeat into an annotation of one Lease, and the answer
// has the heartbeats of all. Three rules keep a pod from being missed in silence:
//
//   - The leader calls an edit ready when each replica with a heartbeat of the last
//     10 s has it, or has said that it is behind.
//   - A replica that is behind, or whose heartbeat did not get through for 8 s, has
//     an Err until it has caught up. It has this before others hear of it.
//   - A replica that begins again first writes its heartbeat. Then it catches up with
//     all that others have told by then.
//
// A replica that ends is waited for until it calls Leave, or is silent for 10 s. Its
// last heartbeat stays for a minute, as one that begins must hear of all that was
// called ready.
//
// A replica that is alone is never behind. See docs/decisions/0014-freshness.md.
package freshness

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"k8s.io/client-go/rest"
)

const (
	// A heartbeat is written after a change, but not sooner after the last than
	// soonest; and without a change every latest. After an error the next follows
	// after retry.
	soonest, latest, retry = 500 * time.Millisecond, 3 * time.Second, time.Second
	// callTimeout bounds one call.
	callTimeout = 2 * time.Second
	// If a pause took this much too long, the process stood still. First of all it
	// then notices what it has missed.
	jolt = 100 * time.Millisecond
)

// errOutdated is constant, so that failures of one owner are one event.
var errOutdated = errors.New("this replica of Telltale may lack the latest changes of the Injections")

// Options are what New needs to know.
type Options struct {
	// Namespace and Name are those of the Lease.
	Namespace, Name string
	// Identity is this process' name among the replicas, such as its pod's.
	Identity string
	// Loaded is closed once there is a View.
	Loaded <-chan struct{}
	// View is this replica's view now.
	View func() View
	// Notices are told in heartbeats. Default: none.
	Notices Notices
	// Registerer gets the metric telltale_view_age_seconds. Default: none.
	Registerer prometheus.Registerer
	// Log gets a line when this replica falls behind, or has caught up.
	Log logr.Logger
}

// Freshness compares for as long as Start runs.
type Freshness struct {
	lease   *lease
	loaded  <-chan struct{}
	view    func() View
	notices Notices
	log     logr.Logger
	change  chan struct{}

	complain rate.Sometimes

	outdated atomic.Bool // Err
	unready  atomic.Bool // Check

	mu       sync.Mutex
	compared comparison
	tells    bool        // the heartbeat under way has the new notices
	refused  bool        // the API server does not take heartbeats
	silence  *time.Timer // ticks

	inherited   []string // the notices of the process before
	inheritedAt time.Time
}

// New returns a Freshness that has not compared anything.
func New(cfg *rest.Config, o Options) (*Freshness, error) {
	lease, err := newLease(cfg, o)
	if err != nil {
		return nil, err
	}

	if o.Notices == nil {
		o.Notices = silent{}
	}

	f := &Freshness{
		lease: lease, loaded: o.Loaded, view: o.View, notices: o.Notices, log: o.Log, change: make(chan struct{}, 1),
		compared: newComparison(lease.self, time.Now()),
		complain: rate.Sometimes{Interval: time.Minute},
	}
	f.outdated.Store(true)
	f.unready.Store(true)
	f.notices.OnNew(f.Changed)

	if o.Registerer != nil {
		err = o.Registerer.Register(f.metric())
	}

	return f, err
}

// Err is nil while this replica's view is as new as it should be. It is cheap: an
// atomic load.
func (f *Freshness) Err() error {
	if f.outdated.Load() {
		return errOutdated
	}

	return nil
}

// Check is a readiness check. A replica is ready once it has compared its view. One
// that is behind is not ready, if another is.
func (f *Freshness) Check(*http.Request) error {
	if f.unready.Load() {
		return errOutdated
	}

	return nil
}

// Ready tells what Check does.
func (f *Freshness) Ready() bool { return !f.unready.Load() }

// Changed has a heartbeat written soon. It does not wait.
func (f *Freshness) Changed() {
	select {
	case f.change <- struct{}{}:
	default: // one is due already
	}
}

// Lacks names a replica that has not handled all of a kind up to a
// resourceVersion, or has not said so yet; "" if there is none. It does not wait:
// ask again later.
func (f *Freshness) Lacks(kind, resourceVersion string) string {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.refused {
		return ""
	}

	name := f.compared.lacks(kind, resourceVersion)
	if name != "" {
		f.Changed() // hear the others again
	}

	return name
}

// NeedLeaderElection is for controller-runtime: every replica compares.
func (f *Freshness) NeedLeaderElection() bool { return false }

// Start writes heartbeats until ctx ends. The one that is under way then is finished.
func (f *Freshness) Start(ctx context.Context) error {
	select {
	case <-f.loaded:
	case <-ctx.Done():
	}

	f.inherit(ctx)

	for ctx.Err() == nil {
		well, begun := f.beat(context.WithoutCancel(ctx)), time.Now()

		if well {
			pause(ctx, time.After(soonest), nil)
			pause(ctx, time.After(latest-soonest), f.change)
		} else {
			pause(ctx, time.After(retry), nil)
		}

		if time.Since(begun) > latest+jolt {
			pause(ctx, time.After(soonest), nil)
		}
	}

	return nil
}

// Leave tells the others the last notices, and not to wait for this replica any more.
// Call it once Start has returned, no review is answered any more, and this process
// calls no edit ready. It takes 2 s at most.
func (f *Freshness) Leave(ctx context.Context) {
	f.mu.Lock()
	bye := f.compared.bye(time.Now())
	f.takeNotices(&bye)
	f.mu.Unlock()

	if err := f.lease.replace(ctx, bye); err != nil {
		f.log.Info("other replicas may wait for this one for 10 s", "error", err.Error())

		return
	}

	f.mu.Lock()
	defer f.mu.Unlock()

	f.notices.Told(f.tells, f.compared.isOnly())
}

// pause waits for the first of three.
func pause(ctx context.Context, timer <-chan time.Time, change <-chan struct{}) {
	select {
	case <-timer:
	case <-change:
	case <-ctx.Done():
	}
}

// beat writes one heartbeat, and compares with those of the others. It is false if
// the API server did not take it.
func (f *Freshness) beat(ctx context.Context) bool {
	sent, view := time.Now(), f.view()

	all, err := f.lease.write(ctx, f.say(view, sent))
	if gone := f.hear(all, err, view, sent); len(gone) > 0 {
		f.lease.remove(ctx, gone)
	}

	if err != nil {
		f.complain.Do(func() {
			f.log.Error(err, "this view can't be compared with those of other replicas, will try again")
		})
	}

	return err == nil
}

// say is the next heartbeat. If it says that this replica is behind, Err has it
// from now on.
func (f *Freshness) say(view View, now time.Time) heartbeat {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.publish()

	own := f.compared.say(view, now)
	f.takeNotices(&own)

	return own
}

// hear compares with all heartbeats, and returns the replicas that are gone.
func (f *Freshness) hear(all map[string]string, err error, view View, sent time.Time) (gone []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.publish()

	switch {
	case err == nil:
		f.refused = false
		f.compared.hear(all, view, sent, time.Now())
		f.hearNotices()
		f.notices.Told(f.tells, f.compared.isOnly())
		f.listen(time.Until(sent.Add(outOfTouch)))

		return f.compared.gone()
	case isRefusal(err):
		// This can last for ever, and pods need their Injections: go on without
		// comparing. The metric tells.
		f.refused, f.compared.inStep = true, false
		f.notices.Told(true, true) // as well as this replica can
	}

	return nil
}

// listen has the comparison tick if no heartbeat gets through for that long.
func (f *Freshness) listen(d time.Duration) {
	if f.silence != nil {
		f.silence.Stop()
	}

	f.silence = time.AfterFunc(d, func() {
		f.mu.Lock()
		defer f.mu.Unlock()

		f.compared.tick(time.Now())
		f.publish()
	})
}

// publish makes known what the comparison has come to.
func (f *Freshness) publish() {
	outdated := !f.compared.inStep && !f.refused
	f.unready.Store(f.compared.unready && !f.refused)

	if f.outdated.Swap(outdated) == outdated {
		return
	}

	if outdated {
		f.log.Info("this view may be outdated: pods that are created now have a failure", "lacks", f.compared.lacking())
	} else {
		f.log.Info("this view is up to date")
	}
}

func (f *Freshness) metric() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "telltale_view_age_seconds",
		Help: "For how long this replica's view of the Injections has been behind another replica's, or could not be compared; 0 if it is up to date.",
	}, func() float64 {
		f.mu.Lock()
		defer f.mu.Unlock()

		return f.compared.age(time.Now()).Seconds()
	})
}
