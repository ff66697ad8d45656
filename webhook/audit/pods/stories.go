package pods

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/webhook/audit/note"
	"github.com/telltale-dev/telltale/webhook/failure"
)

const (
	// storyLimit is how long an owner that has no pods is remembered, and maxStories how
	// many owners are: 20 MB.
	storyLimit, maxStories = time.Hour, 50_000
	// lookUps is how many owners of controllers are looked up at a time. The others
	// wait for the next time.
	lookUps = 100
	// maxRefused is in how many namespaces an event may fail until the others wait, too.
	maxRefused = 10
)

// story is that of an owner from its first failure on, until all of its pods have
// their Injections.
type story struct {
	namespace string
	failed    time.Time // the last event, if an earlier leader has seen it
	isBad     bool      // this leader has seen pods that lack an Injection
	seen      time.Time // when it last had pods
}

// ends tells whether a story has ended, by the pods that there are. If no bad pods
// were seen, as when pods are refused, a pod must be younger than the failure.
func (s *story) ends(sum *group) bool {
	return sum.whole > 0 && sum.whole == sum.pods && (s.isBad || sum.newest.After(s.failed))
}

// stories are those of all owners with one, by uid.
type stories struct {
	*Audit

	groups *groups // of the pods
	all    map[types.UID]*story
}

func (s *stories) begin(owner types.UID, namespace string) *story {
	one := &story{namespace: namespace, seen: time.Now()}
	s.all[owner] = one

	return one
}

// read begins the stories of owners with a failure that did not end. It takes no
// longer than a limit.
func (s *stories) read(ctx context.Context, limit time.Duration, see func(*corev1.Event)) error {
	restored := map[types.UID]time.Time{}

	err := s.eachEvent(ctx, limit, "", "source="+note.Component, func(e *corev1.Event) {
		see(e)

		switch reason := failure.Reason(e.Reason); {
		case len(e.InvolvedObject.UID) > maxUID, len(s.all)+len(restored) >= maxStories: // made up, perhaps
		case reason == failure.Restored:
			restored[e.InvolvedObject.UID] = e.LastTimestamp.Time
		case slices.Contains(failure.Reasons(), reason):
			s.load(e)
		}
	})
	if err != nil {
		return err
	}

	for owner, at := range restored {
		if one := s.all[owner]; one != nil && !one.isBad && !one.failed.After(at) {
			delete(s.all, owner)
		}
	}

	return nil
}

// load notes that the object of an event had a failure.
func (s *stories) load(e *corev1.Event) {
	one := s.all[e.InvolvedObject.UID]
	if one == nil {
		one = s.begin(e.InvolvedObject.UID, e.InvolvedObject.Namespace)
	}

	if at := e.LastTimestamp.Time; at.After(one.failed) {
		one.failed = at
	}
}

// tell puts an event on each owner with a story that has ended: once, as the next
// leader sees it. No story ends while failures of its namespace wait to be shown.
func (s *stories) tell(ctx context.Context, now time.Time) error {
	left := lookUps

	if err := s.beginFailed(ctx, &left); err != nil {
		return err
	}

	sums, err := s.sums(ctx, &left)
	if err != nil {
		return err
	}

	for uid := range sums {
		if one := s.all[uid]; one != nil {
			one.seen = now
		}
	}

	for uid, one := range s.all {
		if now.Sub(one.seen) > storyLimit {
			delete(s.all, uid)
		}
	}

	return s.end(ctx, sums, s.reporter.Owed(toldOnce()...))
}

// end tells of those that have ended, but for namespaces where something is owed.
func (s *stories) end(ctx context.Context, sums map[types.UID]*group, owed map[string]bool) error {
	if owed[""] {
		return nil
	}

	refused := map[string]error{} // by namespace

	for uid, sum := range sums {
		one := s.all[uid]
		if one == nil || owed[one.namespace] || refused[one.namespace] != nil || !one.ends(sum) {
			continue
		}

		switch err := s.writeRestored(ctx, sum, one.failed); {
		case err == nil:
			delete(s.all, uid)
		case len(refused) < maxRefused && (apierrors.IsForbidden(err) || apierrors.IsInvalid(err)):
			refused[one.namespace] = err // by a policy, perhaps
		default:
			return err // others come first the next time, by chance
		}
	}

	return errors.Join(slices.Collect(maps.Values(refused))...)
}

// beginFailed begins those of owners with pods that have failed since it did so last.
func (s *stories) beginFailed(ctx context.Context, left *int) error {
	for uid, g := range s.groups.spoilt {
		if err := s.lookUp(ctx, g, left); err != nil {
			return err
		}

		one := s.all[g.owner.UID]
		if one == nil {
			one = s.begin(g.owner.UID, g.controller.Namespace)
		}

		one.isBad = true
		delete(s.groups.spoilt, uid)
	}

	return nil
}

// sums adds up the pods of each owner, in all namespaces where one has a story.
func (s *stories) sums(ctx context.Context, left *int) (map[types.UID]*group, error) {
	open, sums := map[string]bool{}, map[types.UID]*group{}
	for _, one := range s.all {
		open[one.namespace] = true
	}

	for _, g := range s.groups.all {
		if !open[g.controller.Namespace] {
			continue
		}

		if err := s.lookUp(ctx, g, left); err != nil {
			return nil, err
		}

		sum := sums[g.owner.UID]
		if sum == nil {
			sum = &group{owner: g.owner}
			sums[g.owner.UID] = sum
		}

		sum.include(g)
	}

	return sums, nil
}

// errLater says that enough owners were looked up for this time.
var errLater = errors.New("many owners are to be looked up")

// lookUp finds the owner of a group, once.
func (s *stories) lookUp(ctx context.Context, g *group, left *int) (err error) {
	if g.owner.UID != "" {
		return nil
	}

	*left--
	if *left < 0 {
		return errLater
	}

	g.owner, err = note.OwnerOf(ctx, s.live, g.controller)

	return err
}

// writeRestored writes the event that ends a story, unless an earlier leader has.
func (s *stories) writeRestored(ctx context.Context, sum *group, failed time.Time) error {
	return note.Write(ctx, s.core, note.Note{
		Owner: sum.owner, Reason: failure.Restored, Tell: s.o.Tell, Text: fmt.Sprintf("All %d pods have their Injections.", sum.whole),
		Told: func(e *corev1.Event) bool { return !failed.IsZero() && !failed.After(e.LastTimestamp.Time) },
	})
}
