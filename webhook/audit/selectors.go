package audit

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/webhook/failure"
)

const (
	// At most so many controllers wait to be read. One more is read after its next
	// pod.
	maxAsked = 256
	// readers read at once, with that many calls a second.
	readers, readQPS, readBurst = 4, 100, 200
	// So many answers are kept, for as good as ever: the selector of a controller
	// never changes.
	maxSelectors, selectorsKept = 20_000, 365 * 24 * time.Hour
)

// Selectors knows which labels the selectors of controllers exclude. A controller
// that an Injection's label is excluded by does not own its pods, and creates
// others without end.
//
// A controller that is not known yet is read at once, in the background: by one
// get, as its selector never changes. A Deployment's new ReplicaSet is taken to
// exclude what the last one does until it is read. So the pods of a controller
// get the label only in the time of one get (telltale.TestExcludedLabel).
type Selectors struct {
	reader client.Reader
	log    logr.Logger
	known  *cache.LRUExpireCache // ownerRef, or deploymentKey → labels.Requirements
	queue  chan ownerRef

	mu    sync.Mutex
	asked map[ownerRef]bool // in the queue, or being read
}

// deploymentKey is a Deployment, by the names of its ReplicaSets.
type deploymentKey types.NamespacedName

// NewSelectors returns Selectors that know none yet, with the settings of a
// manager.
func NewSelectors(m manager.Manager, log logr.Logger) (*Selectors, error) {
	cfg := rest.CopyConfig(m.GetConfig())
	cfg.QPS, cfg.Burst = readQPS, readBurst

	reader, err := client.New(cfg, client.Options{Scheme: m.GetScheme(), Mapper: m.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("cannot make a client for the selectors of controllers: %w", err)
	}

	return newSelectors(reader, log), nil
}

func newSelectors(reader client.Reader, log logr.Logger) *Selectors {
	return &Selectors{
		reader: reader, log: log, known: cache.NewLRUExpireCache(maxSelectors),
		queue: make(chan ownerRef, maxAsked), asked: map[ownerRef]bool{},
	}
}

// Excluding returns the requirements of a controller's selector that a label can
// break if it is added to a pod. It does not wait: where they are not known, it
// returns none, and has them read.
func (s *Selectors) Excluding(controller failure.Ref) labels.Requirements {
	ref, ok := ownerOf(&corev1.ObjectReference{
		APIVersion: controller.APIVersion, Kind: controller.Kind,
		Namespace: controller.Namespace, Name: controller.Name, UID: controller.UID,
	})
	if !ok {
		return nil
	}

	excluding, ok := s.get(ref)
	if ok {
		return excluding
	}

	s.ask(ref)
	excluding, _ = s.get(deploymentOf(ref))

	return excluding
}

func (s *Selectors) get(key any) (labels.Requirements, bool) {
	found, ok := s.known.Get(key)
	excluding, _ := found.(labels.Requirements)

	return excluding, ok
}

// deploymentOf is the Deployment of a ReplicaSet, which is named after it and a
// hash. A ReplicaSet without a Deployment can look like that, too.
func deploymentOf(ref ownerRef) deploymentKey {
	at := strings.LastIndexByte(ref.name, '-')
	if ref.kind != "ReplicaSet" || at < 0 {
		return deploymentKey{}
	}

	return deploymentKey{Namespace: ref.namespace, Name: ref.name[:at]}
}

// ask has a controller read, unless it is being read already.
func (s *Selectors) ask(ref ownerRef) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.asked[ref] {
		return
	}

	select {
	case s.queue <- ref:
		s.asked[ref] = true
	default: // at its next pod
	}
}

// NeedLeaderElection is for controller-runtime: every replica reads the
// controllers of the pods that it is asked about.
func (s *Selectors) NeedLeaderElection() bool { return false }

// Start reads controllers until ctx ends.
func (s *Selectors) Start(ctx context.Context) error {
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			for {
				select {
				case ref := <-s.queue:
					s.read(ctx, ref)
				case <-ctx.Done():
					return
				}
			}
		})
	}

	all.Wait()

	return nil
}

// read keeps what is known of a controller only if the API server has one of this
// uid: everybody can send reviews.
func (s *Selectors) read(ctx context.Context, ref ownerRef) {
	o, err := read(ctx, s.reader, ref)

	switch {
	case err != nil:
		s.log.V(1).Info("the selector of a controller is not known, will try again at its next pod", "owner", ref.String(), "error", err.Error())
	case o != nil:
		excluding := patches.Excluding(o.selector)
		s.known.Add(ref, excluding, selectorsKept)

		if key := deploymentOf(ref); key != (deploymentKey{}) && len(excluding) > 0 {
			s.known.Add(key, excluding, selectorsKept)
		} else {
			s.known.Remove(key)
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()

	delete(s.asked, ref)
}
