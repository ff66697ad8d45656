// Package note writes Normal events on the owners of pods: that something has become
// right again.
//
// There is one event for each owner and reason. Its name follows from these, and each
// write names the resourceVersion that it is based on. So a leader that ends and the
// next one do not write it twice. It needs the verbs create and patch on events.
package note

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// Component is the source of Telltale's events.
const Component = "telltale"

// Note is what there is to tell about an owner.
type Note struct {
	Owner  failure.Ref
	Reason failure.Reason
	// Injection is the one that it is about. Zero: all of them.
	Injection failure.Injection
	// Text is one line. It has no value of an env var.
	Text string
	// At is when it happened. Default: now.
	At time.Time
	// Annotations are put on the event.
	Annotations map[string]string
	// Told tells whether an event that is there has it already. Nil: it has not.
	Told func(*corev1.Event) bool
	// Tell hears of the note once it is written. It must not wait. Nil: none does.
	Tell func(failure.Failure)
}

// Write writes the event, or counts one more on it. If the namespace is about to go,
// there is nobody to tell, and that is no error.
func Write(ctx context.Context, c corev1client.EventsGetter, n Note) error {
	if n.At.IsZero() {
		n.At = time.Now()
	}

	e := n.event(metav1.NewTime(n.At))
	events := c.Events(e.Namespace)

	written, err := events.Create(ctx, e, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		written, err = again(ctx, events, e, n.Told)
	}

	if err == nil && written != nil && n.Tell != nil {
		n.Tell(n.failure(written))
	}

	if err == nil || apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}

	return fmt.Errorf("cannot write the event %s on %s: %w", n.Reason, n.Owner, err)
}

// failure is the note for other places than its event. Its Once follows from the event,
// so if two leaders tell the same note, it counts once.
func (n Note) failure(written *corev1.Event) failure.Failure {
	return failure.Failure{
		Reason: n.Reason, Injection: n.Injection, Owner: n.Owner, Text: n.Text,
		Once: string(written.UID) + "/" + strconv.Itoa(int(written.Count)),
	}
}

// again counts one more on an event that is there. It returns nil if the event has it
// already.
func again(
	ctx context.Context, events corev1client.EventInterface, e *corev1.Event, told func(*corev1.Event) bool,
) (*corev1.Event, error) {
	// An empty patch reads it: that needs no further right.
	old, err := events.Patch(ctx, e.Name, types.MergePatchType, []byte("{}"), metav1.PatchOptions{})
	if err != nil || told != nil && told(old) {
		return nil, err
	}

	patch, err := json.Marshal(map[string]any{
		"metadata":      map[string]any{"resourceVersion": old.ResourceVersion, "annotations": e.Annotations},
		"count":         old.Count + 1,
		"lastTimestamp": e.LastTimestamp,
		"message":       e.Message,
	})
	if err != nil {
		return nil, err
	}

	return events.Patch(ctx, e.Name, types.MergePatchType, patch, metav1.PatchOptions{})
}

func (n Note) event(at metav1.Time) *corev1.Event {
	o := n.Owner
	hash := sha256.Sum256([]byte(string(o.UID) + "\x00" + string(n.Reason)))

	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   o.Namespace,
			Name:        Component + "." + hex.EncodeToString(hash[:10]),
			Labels:      map[string]string{"app.kubernetes.io/managed-by": Component},
			Annotations: n.Annotations,
		},
		InvolvedObject: corev1.ObjectReference{APIVersion: o.APIVersion, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, UID: o.UID},
		Type:           corev1.EventTypeNormal,
		Reason:         string(n.Reason),
		Message:        n.Text,
		Source:         corev1.EventSource{Component: Component},
		FirstTimestamp: at,
		LastTimestamp:  at,
		Count:          1,
	}
}
