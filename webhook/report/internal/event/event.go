// Package event turns a ledger's entry into a core/v1 Event on the entry's
// owner, and writes it.
//
// All processes share one event for an owner, reason and Injection: its name
// follows from these. Each ledger entry owns one annotation on the event, with
// the number of its failures there. The event's count is the sum of these
// annotations. Each write names the resourceVersion that it is based on, and
// says how many failures there are, not how many more. So if a write is
// repeated because its answer was lost, it changes nothing, and the sum is
// exact however many processes write, and how often (TestSharedCount,
// TestLostAnswers).
//
// Failures on an event that expires or is deleted stay reported: the next event
// starts from zero (TestEventDeleted).
//
// It needs the verbs create and patch on events of the core group.
package event

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/telltale-dev/telltale/internal/oneline"
	"github.com/telltale-dev/telltale/webhook/failure"
	"github.com/telltale-dev/telltale/webhook/report/internal/ledger"
)

// Component is the source that our events name.
const Component = "telltale"

// MaxMessage is the longest message of an event, in bytes of UTF-8 (not runes).
// A longer one is cut at a rune and ends in "…".
//
// Source: NoteLengthLimit, k8s.io/kubernetes v1.37.2
// pkg/apis/core/validation/events.go. The API server does not enforce it on our
// events (core/v1 without eventTime), but log shippers cut there.
const MaxMessage = 1024

// newEvent returns the event of an entry, without its count and annotations.
func newEvent(e ledger.Entry) *corev1.Event {
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: e.Owner.Namespace,
			Name:      name(e.Failure),
			Labels:    map[string]string{"app.kubernetes.io/managed-by": Component},
		},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: e.Owner.APIVersion, Kind: e.Owner.Kind,
			Namespace: e.Owner.Namespace, Name: e.Owner.Name, UID: e.Owner.UID,
		},
		Type:           corev1.EventTypeWarning,
		Reason:         string(e.Reason),
		Message:        Message(e.Failure),
		Source:         corev1.EventSource{Component: Component},
		FirstTimestamp: metav1.NewTime(earlier(e.Since, e.Last)),
		LastTimestamp:  metav1.NewTime(e.Last),
	}
}

// earlier is the first of two times: the clock may have been set back between
// them.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}

	return a
}

// name returns the event's name: the owner's name, as far as it fits, and a
// hash of all that one event stands for. So no two events share a name, and
// every process finds the same.
func name(f failure.Failure) string {
	h := sha256.New()
	for _, part := range []string{
		f.Owner.Namespace, string(f.Owner.UID), f.Owner.Kind, f.Owner.Name, string(f.Reason), f.Injection.String(),
	} {
		h.Write([]byte(part))
		h.Write([]byte{0}) // no part contains it
	}
	hash := hex.EncodeToString(h.Sum(nil)[:10])

	owner := strings.Map(nameRune, f.Owner.Name)
	owner = owner[:min(len(owner), validation.DNS1123SubdomainMaxLength-1-len(hash))]
	owner = strings.Trim(owner, "-.")
	if len(validation.IsDNS1123Subdomain(owner)) > 0 {
		owner = Component
	}

	return owner + "." + hash
}

// nameRune replaces characters that a DNS name can't have: the names of some
// objects, for example roles, are no DNS names.
func nameRune(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '.', r == '-':
		return r
	default:
		return '-'
	}
}

// Message is the event's text: one line of at most MaxMessage bytes.
func Message(f failure.Failure) string {
	last := ""
	if f.Pod != "" {
		last = " Last pod: " + oneline.Of(f.Pod)
	}
	if len(last) > MaxMessage/2 { // no pod has such a name
		last = ""
	}

	text := f.Injection.Title() + " not applied: " + f.Text
	if f.Reason.IsNote() {
		text = f.Text
	}
	if f.Reason == failure.Stuck {
		text = f.Injection.Title() + " keeps pods from starting: " + f.Text
	}
	if f.Reason == failure.Missed || f.Reason == failure.Lost || f.Reason == failure.Stuck {
		text += restart(f.Owner)
	}

	return oneline.Cut(text, MaxMessage-len(last)) + last
}

// restart is the cure for pods of an owner that exist.
func restart(o failure.Ref) string {
	switch o.Kind {
	case "Deployment", "StatefulSet", "DaemonSet":
		return " Restart them: kubectl rollout restart " + strings.ToLower(o.Kind) + "/" + o.Name + " -n " + o.Namespace + "."
	default:
		return " Create them anew."
	}
}
