package injections

import (
	"maps"
	"sync"

	"k8s.io/apimachinery/pkg/util/resourceversion"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// Peers are the other replicas, and how new this one's view is beside theirs.
type Peers interface {
	// Err is not nil if this replica may lack changes that others have. It must be
	// cheap: each admission asks.
	Err() error
	// Lacks names a replica that has not handled all of a kind up to a
	// resourceVersion; "" if there is none.
	Lacks(kind, resourceVersion string) string
	// Changed hears that this replica has handled a change. It must not wait.
	Changed()
}

// The kinds of which replicas compare their views: they decide whether a pod gets
// an Injection. LimitRanges and ResourceQuotas decide whether the API server takes
// it, and a pod that is refused is no silent miss.
const (
	Injection        = "Injection"
	ClusterInjection = "ClusterInjection"
	Namespace        = "Namespace"
	Stop             = "Stop"
)

// alone is Peers where there is no other replica.
type alone struct{}

// Err is nil.
func (alone) Err() error { return nil }

// Lacks is "".
func (alone) Lacks(string, string) string { return "" }

// Changed does nothing.
func (alone) Changed() {}

// Compare has the view compared with that of peers. It is to be called before all
// else.
func (in *Injections) Compare(peers Peers) { in.peers = peers }

// Loaded is closed once all Injections are known.
func (in *Injections) Loaded() <-chan struct{} { return in.loaded }

// progress is how far the watches have come, by kind, in resourceVersions.
type progress struct {
	mu     sync.Mutex
	stores map[string]store
	upTo   map[string]string // all up to here is handled
	newest map[string]string // of the objects' changes

	// Of Injections, by kind and key: the resourceVersions that have arrived and that
	// may not be handled yet.
	arrived map[string]map[string]string
}

// store is a part of client-go's.
type store interface {
	// LastStoreSyncResourceVersion is that up to which the store has all changes.
	// Bookmarks move it, too. Without client-go's feature AtomicFIFO it is empty.
	LastStoreSyncResourceVersion() string
	GetByKey(key string) (o any, exists bool, err error)
	ListKeys() []string
}

// noting is a handler that notes each change after it was handled.
type noting struct {
	toolscache.ResourceEventHandler

	kind string
	in   *Injections
}

func (in *Injections) noting(kind string, on toolscache.ResourceEventHandler) toolscache.ResourceEventHandler {
	return noting{on, kind, in}
}

// OnAdd is for a new object.
func (n noting) OnAdd(o any, isInInitialList bool) {
	n.ResourceEventHandler.OnAdd(o, isInInitialList)
	n.note(o)
}

// OnUpdate is for a changed object.
func (n noting) OnUpdate(before, after any) {
	n.ResourceEventHandler.OnUpdate(before, after)
	n.note(after)
}

// OnDelete is for a deleted object. It has the resourceVersion of its deletion. A
// tombstone, for a deletion that the watch missed, has none.
func (n noting) OnDelete(o any) {
	n.ResourceEventHandler.OnDelete(o)
	n.note(o)
}

func (n noting) note(o any) {
	if object, ok := o.(client.Object); ok {
		n.in.progress.note(n.kind, object)
	}

	// Namespaces come and go all day. A view of them need not be told at once.
	if n.kind != Namespace {
		n.in.peers.Changed()
	}
}

// arrive is for a cache. It notes each Injection before a store has it, and drops
// of every object the part that nobody reads.
func (in *Injections) arrive(o any) (any, error) {
	switch o := o.(type) {
	case *v1alpha1.Injection:
		in.progress.arrive(Injection, o)
	case *v1alpha1.ClusterInjection:
		in.progress.arrive(ClusterInjection, o)
	}

	return cache.TransformStripManagedFields()(o)
}

// watch takes the store of a kind's informer.
func (p *progress) watch(on toolscache.ResourceEventHandler, informer cache.Informer) {
	n, isNoted := on.(noting)
	shared, isShared := informer.(interface{ GetStore() toolscache.Store })

	if !isNoted || !isShared {
		return
	}

	p.mu.Lock()
	defer p.mu.Unlock()

	if p.stores == nil {
		p.stores = map[string]store{}
	}

	p.stores[n.kind] = shared.GetStore()
}

func (p *progress) arrive(kind string, o client.Object) {
	p.mu.Lock()
	defer p.mu.Unlock()

	if p.arrived == nil {
		p.arrived = map[string]map[string]string{}
	}

	if p.arrived[kind] == nil {
		p.arrived[kind] = map[string]string{}
	}

	p.arrived[kind][keyOf(o)] = o.GetResourceVersion()
}

// note takes note of a change that is handled.
func (p *progress) note(kind string, o client.Object) {
	p.mu.Lock()
	defer p.mu.Unlock()

	if p.newest == nil {
		p.newest = map[string]string{}
	}

	at := o.GetResourceVersion()

	// The first list is in no order.
	if p.newest[kind] == "" || isOlder(p.newest[kind], at) {
		p.newest[kind] = at
	}

	if key := keyOf(o); p.arrived[kind][key] == at {
		delete(p.arrived[kind], key)
	}
}

func keyOf(o client.Object) string {
	return toolscache.NewObjectName(o.GetNamespace(), o.GetName()).String()
}

// newestOf is the resourceVersion of a kind's newest change; "" if there was none.
func (p *progress) newestOf(kind string) string {
	p.mu.Lock()
	defer p.mu.Unlock()

	return p.newest[kind]
}

// Progress returns the resourceVersions up to which all is handled, and those of
// the newest changes, by kind.
func (in *Injections) Progress() (upTo, newest map[string]string) {
	p := &in.progress

	p.mu.Lock()
	defer p.mu.Unlock()

	if p.upTo == nil {
		p.upTo = map[string]string{}
	}

	for kind, s := range p.stores {
		at := s.LastStoreSyncResourceVersion()
		if at != p.upTo[kind] && in.hasAll(kind, s) {
			p.upTo[kind] = at
		}

		if isOlder(at, p.newest[kind]) {
			delete(p.newest, kind) // etcd was restored: no replica will ever have come that far
		}
	}

	return maps.Clone(p.upTo), maps.Clone(p.newest)
}

// NamespacesUpTo is a resourceVersion: all changes of namespaces up to it have
// arrived.
func (in *Injections) NamespacesUpTo() string {
	upTo, _ := in.Progress()

	return upTo[Namespace]
}

// hasAll tells whether the set has all Injections of a store, as they are and as
// the API server judged them: the store has an edit shortly before the set does.
// Other kinds are handled in no time. The caller holds the lock.
func (in *Injections) hasAll(kind string, s store) bool {
	if kind != Injection && kind != ClusterInjection {
		return true
	}

	arrived := in.progress.arrived[kind]
	for key, at := range arrived {
		// After a watch broke, all come again. Those that have not changed are not
		// handled again.
		if !in.has(s, key, at) {
			return false
		}

		delete(arrived, key)
	}

	// Without a note of what arrives nothing is known.
	return arrived != nil || len(s.ListKeys()) == 0
}

// has tells whether the set has an object of a store that came with this
// resourceVersion.
func (in *Injections) has(s store, key, resourceVersion string) bool {
	found, _, _ := s.GetByKey(key)

	o, ok := found.(client.Object)
	if !ok || o.GetResourceVersion() != resourceVersion {
		return false
	}

	have := in.compiled(o)

	return have != nil && have.Refused(statusOf(o).Refusal(have.Revision())) == have
}

func isOlder(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)

	return err == nil && order < 0
}
