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
	// storyLimit is how long an owner that has no pods is remembered.
	storyLimit = time.Hour
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

func (t *term) begin(owner types.UID, namespace string) *story {
	one := &story{namespace: namespace, seen: time.Now()}
	t.stories[owner] = one

	return one
}

// ends tells whether a story has ended, by the pods that there are. If no bad pods
// were seen, as when pods are refused, a pod must be younger than the failure.
func (s *story) ends(sum *group) bool {
	return sum.whole > 0 && sum.whole == sum.pods && (s.isBad || sum.newest.After(s.failed))
}

// tellRestored puts an event on each owner whose story has ended: once, as the next
// leader sees it. No story ends while failures of its namespace wait to be shown.
func (t *term) tellRestored(ctx context.Context, now time.Time) error {
	left := lookUps

	if err := t.beginStories(ctx, &left); err != nil {
		return err
	}

	sums, err := t.sums(ctx, &left)
	if err != nil {
		return err
	}

	for uid := range sums {
		if one := t.stories[uid]; one != nil {
			one.seen = now
		}
	}

	for uid, one := range t.stories {
		if now.Sub(one.seen) > storyLimit {
			delete(t.stories, uid)
		}
	}

	return t.endStories(ctx, sums, t.reporter.Owed(toldOnce()...))
}

// endStories tells of those that have ended, but for namespaces where something is owed.
func (t *term) endStories(ctx context.Context, sums map[types.UID]*group, owed map[string]bool) error {
	if owed[""] {
		return nil
	}

	refused := map[string]error{} // by namespace

	for uid, sum := range sums {
		one := t.stories[uid]
		if one == nil || owed[one.namespace] || refused[one.namespace] != nil || !one.ends(sum) {
			continue
		}

		switch err := t.writeRestored(ctx, sum, one.failed); {
		case err == nil:
			delete(t.stories, uid)
		case len(refused) < maxRefused && (apierrors.IsForbidden(err) || apierrors.IsInvalid(err)):
			refused[one.namespace] = err // by a policy, perhaps
		default:
			return err // others come first the next time, by chance
		}
	}

	return errors.Join(slices.Collect(maps.Values(refused))...)
}

// beginStories begins those of the owners whose pods have failed since it did so
// last.
func (t *term) beginStories(ctx context.Context, left *int) error {
	for uid, g := range t.book.groups.spoilt {
		if err := t.lookUp(ctx, g, left); err != nil {
			return err
		}

		one := t.stories[g.owner.UID]
		if one == nil {
			one = t.begin(g.owner.UID, g.controller.Namespace)
		}

		one.isBad = true
		delete(t.book.groups.spoilt, uid)
	}

	return nil
}

// sums adds up the pods of each owner, in all namespaces where one has a story.
func (t *term) sums(ctx context.Context, left *int) (map[types.UID]*group, error) {
	open, sums := map[string]bool{}, map[types.UID]*group{}
	for _, one := range t.stories {
		open[one.namespace] = true
	}

	for _, g := range t.book.groups.all {
		if !open[g.controller.Namespace] {
			continue
		}

		if err := t.lookUp(ctx, g, left); err != nil {
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
func (t *term) lookUp(ctx context.Context, g *group, left *int) (err error) {
	if g.owner.UID != "" {
		return nil
	}

	*left--
	if *left < 0 {
		return errLater
	}

	g.owner, err = note.OwnerOf(ctx, t.live, g.controller)

	return err
}

// writeRestored writes the event that ends a story, unless an earlier leader has.
func (t *term) writeRestored(ctx context.Context, sum *group, failed time.Time) error {
	return note.Write(ctx, t.core, note.Note{
		Owner: sum.owner, Reason: failure.Restored, Tell: t.o.Tell, Text: fmt.Sprintf("All %d pods have their Injections.", sum.whole),
		Told: func(e *corev1.Event) bool { return !failed.IsZero() && !failed.After(e.LastTimestamp.Time) },
	})
}
