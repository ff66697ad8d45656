package pods

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/telltale-dev/telltale/webhook/failure"
)

const (
	// firstRead is how long the first look at events of a term may take, and laterRead
	// the others. Anybody that may write events can make many large ones.
	firstRead, laterRead = time.Minute, 10 * time.Second
	// maxUID is how long the uid of an object is, at most: the API server gives each
	// 36 bytes. An event may have any text.
	maxUID = 64
)

// errSlow is for a look at events that took too long.
var errSlow = errors.New("there are too many events, or large ones")

// eachEvent looks at the events of a namespace, or of all. It returns an error that is
// errSlow if that takes longer than a limit.
func (a *Audit) eachEvent(ctx context.Context, limit time.Duration, namespace, fields string, see func(*corev1.Event)) error {
	ctx, end := context.WithTimeoutCause(ctx, limit, errSlow)
	defer end()

	err := eachListed(ctx, metav1.ListOptions{FieldSelector: fields}, a.lists.Events(namespace).List, func(one runtime.Object) { see(one.(*corev1.Event)) })
	if err != nil && errors.Is(context.Cause(ctx), errSlow) {
		err = fmt.Errorf("%w: %w", errSlow, err)
	}

	if err != nil {
		return fmt.Errorf("cannot list the events with %s: %w", fields, err)
	}

	return nil
}

// loadEvents reads what earlier leaders have told: the names of the pods that were
// missed or lost, and which owners have a failure that did not end.
func (t *term) loadEvents(ctx context.Context) error {
	err := t.stories.read(ctx, firstRead, t.loadNames)
	t.nextDenied = time.Now().Add(readsDenied)

	if errors.Is(err, errSlow) {
		t.o.Log.Error(err, "pods that were told may be told again")

		return nil
	}

	return err
}

// readDenied begins the stories of owners whose pods were refused meanwhile, if an
// Injection has onFailure: Deny: no pod shows that one failed (telltale.TestRestoredDenied).
func (t *term) readDenied(ctx context.Context, now time.Time) error {
	if !t.denies || now.Before(t.nextDenied) {
		return nil
	}

	defer func() { t.nextDenied = now.Add(max(readsDenied, pauses*time.Since(now))) }()

	return t.stories.read(ctx, laterRead, func(*corev1.Event) {})
}

// maxTold is how many names of failures are taken from events: 20 MB. Anybody that may
// write events can make names up. Beyond it, a pod may be told again.
const maxTold = 200_000

// loadNames notes the names of the failures that an event counts.
func (t *term) loadNames(e *corev1.Event) {
	if !slices.Contains(toldOnce(), failure.Reason(e.Reason)) {
		return
	}

	for key, names := range e.Annotations {
		if !strings.HasPrefix(key, failure.OncePrefix) {
			continue
		}

		for name := range strings.SplitSeq(names, ",") {
			if len(name) == failure.OnceLength && len(t.told) < maxTold {
				t.told[strings.Clone(name)] = true // not the whole annotation
			}
		}
	}
}
