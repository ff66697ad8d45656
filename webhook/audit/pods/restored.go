package pods

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/webhook/failure"
)

const (
	// component is the source of Telltale's events.
	component = "telltale"
	// storyLimit is how long an owner that has no pods is remembered.
	storyLimit = time.Hour
	// lookUps is how many owners of controllers are looked up at a time. The others
	// wait for the next time.
	lookUps = 100
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
// leader sees it. No story ends while failures wait to be shown.
func (t *term) tellRestored(ctx context.Context, now time.Time) error {
	if t.owes() {
		return nil
	}

	left := lookUps

	if err := t.beginStories(ctx, &left); err != nil {
		return err
	}

	sums, err := t.sums(ctx, &left)
	if err != nil {
		return err
	}

	for uid, sum := range sums {
		one := t.stories[uid]
		if one == nil {
			continue
		}

		one.seen = now

		if !one.ends(sum) {
			continue
		}

		if err := t.writeRestored(ctx, sum, one.failed); err != nil {
			return err
		}

		delete(t.stories, uid)
	}

	for uid, one := range t.stories {
		if now.Sub(one.seen) > storyLimit {
			delete(t.stories, uid)
		}
	}

	return nil
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

	if *left--; *left < 0 {
		return errLater
	}

	g.owner, err = t.ownerOf(ctx, g.controller)

	return err
}

// writeRestored writes the event that ends a story, unless it is there already: an
// earlier leader may have written it.
func (t *term) writeRestored(ctx context.Context, sum *group, failed time.Time) error {
	e := restoredEvent(sum, time.Now())

	_, err := t.core.Events(e.Namespace).Create(ctx, e, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		err = t.writeAgain(ctx, e, failed)
	}

	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) { // the namespace goes away
		err = nil
	}

	if err != nil {
		return fmt.Errorf("cannot write the event %s on %s: %w", failure.Restored, sum.owner, err)
	}

	return nil
}

// writeAgain counts one more on an event that is there.
func (t *term) writeAgain(ctx context.Context, e *corev1.Event, failed time.Time) error {
	events := t.core.Events(e.Namespace)

	// An empty patch reads it: that needs no further right.
	old, err := events.Patch(ctx, e.Name, types.MergePatchType, []byte("{}"), metav1.PatchOptions{})
	if err != nil || !failed.IsZero() && !failed.After(old.LastTimestamp.Time) {
		return err
	}

	patch, err := json.Marshal(map[string]any{
		"metadata":      map[string]any{"resourceVersion": old.ResourceVersion},
		"count":         old.Count + 1,
		"lastTimestamp": e.LastTimestamp,
		"message":       e.Message,
	})
	if err != nil {
		return err
	}

	_, err = events.Patch(ctx, e.Name, types.MergePatchType, patch, metav1.PatchOptions{})

	return err
}

func restoredEvent(sum *group, now time.Time) *corev1.Event {
	o := sum.owner
	hash := sha256.Sum256([]byte(string(o.UID) + "\x00" + string(failure.Restored)))

	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: o.Namespace,
			Name:      component + "." + hex.EncodeToString(hash[:10]),
			Labels:    map[string]string{"app.kubernetes.io/managed-by": component},
		},
		InvolvedObject: corev1.ObjectReference{APIVersion: o.APIVersion, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, UID: o.UID},
		Type:           corev1.EventTypeNormal,
		Reason:         string(failure.Restored),
		Message:        fmt.Sprintf("All %d pods have their Injections.", sum.whole),
		Source:         corev1.EventSource{Component: component},
		FirstTimestamp: metav1.NewTime(now),
		LastTimestamp:  metav1.NewTime(now),
		Count:          1,
	}
}
