package canary

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/internal/oneline"
	"github.com/telltale-dev/telltale/webhook/own"
)

// The reasons of the two events.
const (
	// ReasonBypassed is that of the Warning.
	ReasonBypassed = "WebhookBypassed"
	// ReasonRestored is that of the Normal event.
	ReasonRestored = "WebhookRestored"
)

const (
	// refresh is how often the Warning of an outage that lasts is written again. An
	// event lives for an hour from its last write, by default.
	refresh = 30 * time.Minute
	// maxMessage is the longest message of an event, in bytes.
	//
	// Source: NoteLengthLimit, k8s.io/kubernetes v1.37.2
	// pkg/apis/core/validation/events.go.
	maxMessage = 1024
	// component is the source that the events name.
	component = "telltale"
)

// tell writes the events that are owed.
func (t *term) tell(ctx context.Context, now time.Time) error {
	warning, normal := t.state.mark.owes(now)
	m := &t.state.mark

	if warning {
		text := "New pods start without their Injections: the API server does not ask Telltale. " + m.Finding.Text
		if err := t.write(ctx, corev1.EventTypeWarning, ReasonBypassed, text, m.Began, now); err != nil {
			return err
		}

		m.Told = now
	}

	if normal {
		text := fmt.Sprintf("The API server asks Telltale about new pods again, after %v. Pods of that time that lack an Injection have the event InjectionMissed on their owners.",
			m.Ended.Sub(m.Began).Round(time.Second))
		if err := t.write(ctx, corev1.EventTypeNormal, ReasonRestored, text, m.Ended, now); err != nil {
			return err
		}

		m.ToldEnd = true
	}

	if !warning && !normal {
		return nil
	}

	return t.save(ctx)
}

// write writes an event on Telltale's Deployment. Its name follows from the
// beginning of the outage, so there is one, no matter which leaders write it. A
// process without a pod has only its log.
func (t *term) write(ctx context.Context, kind, reason, text string, since, now time.Time) error {
	t.o.Log.Info(text, "reason", reason, "since", since)

	if t.o.Pod == "" {
		return nil
	}

	ref, err := own.Deployment(ctx, t.reader, t.o.Namespace, t.o.Pod)
	if err != nil {
		return fmt.Errorf("cannot write the event %s: %w", reason, err)
	}

	e := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ref.Namespace, Name: eventName(ref, reason, t.state.mark.Began),
			Labels: map[string]string{"app.kubernetes.io/managed-by": component},
		},
		InvolvedObject: ref, Type: kind, Reason: reason, Message: oneline.Cut(text, maxMessage), Count: 1,
		Source: corev1.EventSource{Component: component}, FirstTimestamp: metav1.NewTime(since), LastTimestamp: metav1.NewTime(now),
	}

	_, err = t.core.Events(e.Namespace).Create(ctx, e, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		var patch []byte
		if patch, err = json.Marshal(map[string]any{"message": e.Message, "lastTimestamp": e.LastTimestamp}); err == nil {
			_, err = t.core.Events(e.Namespace).Patch(ctx, e.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		}
	}

	if err != nil {
		return fmt.Errorf("cannot write the event %s: %w", reason, err)
	}

	return nil
}

// eventName is the same in all leaders, and another for each outage.
func eventName(ref corev1.ObjectReference, reason string, began time.Time) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", ref.UID, reason, began.Unix()))

	return component + "." + hex.EncodeToString(sum[:10])
}
