package objects

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/patches"
)

// The kinds of objects.
const configMap, secret = "ConfigMap", "Secret"

const (
	// qps and burst limit the lists. There is one for each name if the API server
	// doesn't send the first objects with the watch; watches are not limited.
	qps, burst = 50, 100
	// birth is how long a watch, and what it finds missing, is new.
	birth = time.Minute
)

// Options are the optional parts of Objects.
type Options struct {
	// Secrets has Secrets watched, too: Telltale may list them. Default: each counts
	// as there.
	Secrets bool
	// MaxNames is how many names are watched at most, in memory and on the API server.
	// An object of one more counts as there. Default: 1000.
	MaxNames int
	// Changed is told the namespace of an Injection when Doubt has another answer for
	// it; "" is that of ClusterInjections. Default: nobody is.
	Changed func(namespace string)
	// Log has a line, at most one a minute, if objects can't be watched. Default: none.
	Log logr.Logger
}

// Objects knows what is required. Many goroutines may use it at the same time, and
// none waits for a call.
type Objects struct {
	client   metadata.Interface
	o        Options
	complain rate.Sometimes

	mu       sync.RWMutex
	spawn    func(*view) // starts a watch; nil before Start
	marksNew bool        // a watch that begins from now on is new
	needs    map[types.NamespacedName][]patches.Required
	names    map[name]*watched
	views    int           // how many there are
	newest   time.Time     // when the last new watch began
	changed  chan struct{} // closed at the next change; nil if nobody waits
}

// name is that of a ConfigMap or a Secret, in any namespace.
type name struct{ kind, name string }

// watched is a name that is required.
type watched struct {
	by map[types.NamespacedName][]string // the keys that each Injection requires
	// views are two while a new one takes over, which looks at other keys; else one. There
	// are none if too many names are required.
	views []*view
}

// New returns Objects that know nothing yet.
func New(cfg *rest.Config, o Options) (*Objects, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = qps, burst

	client, err := metadata.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client for metadata: %w", err)
	}

	return newObjects(client, o), nil
}

// None returns Objects that can look at none: each counts as there.
func None() *Objects { return newObjects(nil, Options{}) }

// OnChange sets whom to tell (Options.Changed). Call it before Start.
func (o *Objects) OnChange(changed func(namespace string)) { o.o.Changed = changed }

func newObjects(client metadata.Interface, o Options) *Objects {
	if o.MaxNames <= 0 {
		o.MaxNames = 1000
	}

	if o.Changed == nil {
		o.Changed = func(string) {}
	}

	if o.Log.GetSink() == nil {
		o.Log = logr.Discard()
	}

	return &Objects{
		client: client, o: o, complain: rate.Sometimes{Interval: time.Minute},
		needs: map[types.NamespacedName][]patches.Required{}, names: map[name]*watched{},
	}
}

// Require has the objects watched that an Injection requires, in place of those that it
// required before.
func (o *Objects) Require(injection types.NamespacedName, required []patches.Required) {
	o.mu.Lock()
	defer o.mu.Unlock()

	if len(required) == 0 && o.needs[injection] == nil {
		return // nearly always
	}

	before := o.needs[injection]

	if o.needs[injection] = required; len(required) == 0 {
		delete(o.needs, injection)
	}

	for _, r := range before {
		if !slices.ContainsFunc(required, func(now patches.Required) bool { return now.Kind == r.Kind && now.Name == r.Name }) {
			o.drop(name{r.Kind, r.Name}, injection)
		}
	}

	for _, r := range required {
		o.need(name{r.Kind, r.Name}, injection, r.Keys)
	}
}

// canSee tells whether objects of a kind are watched at all.
func (o *Objects) canSee(kind string) bool {
	return o.client != nil && (kind != secret || o.o.Secrets)
}

// need has a name watched, with keys. The caller holds the lock.
func (o *Objects) need(n name, injection types.NamespacedName, keys []string) {
	if !o.canSee(n.kind) {
		return
	}

	if o.names[n] == nil {
		o.names[n] = &watched{by: map[types.NamespacedName][]string{}}
	}

	o.names[n].by[injection] = keys
	o.begin(n)
}

// drop ends the watch of a name if nobody requires it any more. The caller holds the lock.
func (o *Objects) drop(n name, injection types.NamespacedName) {
	w := o.names[n]
	if w == nil {
		return
	}

	delete(w.by, injection)

	if len(w.by) > 0 {
		return
	}

	for _, v := range w.views {
		v.end()
		o.views--
	}

	delete(o.names, n)
	o.fill()
}

// fill has the names watched for which there was no room before. The caller holds the
// lock.
func (o *Objects) fill() {
	for n, w := range o.names {
		if len(w.views) == 0 && o.views < o.o.MaxNames {
			o.begin(n)
		}
	}
}

// Start begins to watch, until ctx ends.
func (o *Objects) Start(ctx context.Context) {
	o.mu.Lock()
	defer o.mu.Unlock()

	o.spawn = func(v *view) {
		own, cancel := context.WithCancel(ctx)
		v.end = cancel

		go o.watch(own, v)
	}

	for n := range o.names {
		o.begin(n)
	}
}

// WaitKnown waits until all that is required is known, or can't be looked at, or ctx ends.
// Watches that begin later are new.
func (o *Objects) WaitKnown(ctx context.Context) {
	for {
		changed := o.Changed()
		if o.isKnown() {
			break
		}

		select {
		case <-changed:
			continue
		case <-ctx.Done():
		}

		break
	}

	o.mu.Lock()
	defer o.mu.Unlock()

	o.marksNew = true
}

func (o *Objects) isKnown() bool {
	o.mu.RLock()
	defer o.mu.RUnlock()

	for _, w := range o.names {
		if len(w.views) > 0 && !w.views[len(w.views)-1].answers() {
			return false
		}
	}

	return true
}

// begin starts a watch of a name, unless one looks at all that is required. The caller
// holds the lock.
func (o *Objects) begin(n name) {
	if o.spawn == nil {
		return
	}

	w := o.names[n]
	keys := w.keys()

	switch last := len(w.views) - 1; {
	case last >= 0 && w.views[last].covers(keys):
		return
	case last < 0 && o.views >= o.o.MaxNames:
		return
	case last > 0: // it has answered nothing yet
		w.views[last].end()
		w.views = w.views[:last]
		o.views--
	}

	v := newView(n, keys)
	if o.marksNew {
		v.begun = time.Now()
		o.newest = v.begun
	}

	w.views = append(w.views, v)
	o.views++
	o.spawn(v)
}

// keys are those that anybody requires, in order.
func (w *watched) keys() (all []string) {
	for _, keys := range w.by {
		all = append(all, keys...)
	}

	slices.Sort(all)

	return slices.Compact(all)
}

func resourceOf(kind string) schema.GroupVersionResource {
	if kind == secret {
		return corev1.SchemeGroupVersion.WithResource("secrets")
	}

	return corev1.SchemeGroupVersion.WithResource("configmaps")
}
