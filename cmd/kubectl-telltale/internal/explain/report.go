package explain

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/verdict"
	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// Report is the answer about one object: the output of -o json and -o yaml. Fields
// are only added, and keep their meaning.
type Report struct {
	// Kind, Namespace and Name are those of the object.
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Injections has a verdict on each that can reach the namespace.
	Injections []Injection `json:"injections"`
	// NotAsked says why the API server does not ask Telltale about the pod.
	NotAsked string `json:"notAsked,omitempty"`
	// Denied is the text by which the pod is refused (onFailure: Deny).
	Denied string `json:"denied,omitempty"`
	// Patch is the webhook's JSON patch of the pod.
	Patch json.RawMessage `json:"patch,omitempty"`
	// Before is the pod as it arrives at the webhook, and After as it is then: only with
	// --diff.
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
	// Pods are those that exist: the pod itself, or those of the object.
	Pods []Existing `json:"pods,omitempty"`
	// Events are Telltale's on the object that owns the pods.
	Events []Event `json:"events,omitempty"`
	// Registration is how the API server is to ask Telltale.
	Registration Registration `json:"registration"`
	// Calls are all webhooks and policies that the pod goes through, in their order.
	Calls []Call `json:"calls,omitempty"`
	// Server is the answer to --dry-run=server.
	Server *Server `json:"server,omitempty"`
	// Unread is what could not be read.
	Unread []Unread `json:"unread,omitempty"`
	// Findings are what is wrong, in sentences: exit code 1.
	Findings []string `json:"findings,omitempty"`

	before, after []byte // the pod, for --diff
	doubts        []Unread
}

// Injection is the verdict on one Injection or ClusterInjection.
type Injection struct {
	// Name is as in a pod's record: cluster/ before a ClusterInjection's.
	Name     string          `json:"name"`
	Revision string          `json:"revision"`
	Outcome  verdict.Outcome `json:"outcome"`
	// Reason is that of the event, or of the failure that a preview would be; empty if
	// there is none.
	Reason string `json:"reason,omitempty"`
	Text   string `json:"text,omitempty"`
	// Event is the text of the event that there would be.
	Event string `json:"event,omitempty"`
	// NotReady is why its status says that it is not in force.
	NotReady string `json:"notReady,omitempty"`
}

// explain makes the report on a subject.
func (f *facts) explain(ctx context.Context, s *verdict.Subject, exists bool) (*Report, error) {
	before, err := f.Arrive(s, exists)
	if err != nil {
		return nil, err
	}

	v, err := f.Judge(ctx, before)
	if err != nil {
		return nil, err
	}

	r := &Report{Kind: s.Kind, Namespace: s.Namespace, Name: s.Name, NotAsked: v.NotAsked, Denied: v.Answer.Denied, Patch: v.Answer.Patch, Unread: f.unread}
	r.before, r.doubts = before.JSON, f.release.doubts(s, before)

	if after, err := f.After(before, v); err == nil {
		r.after, _ = json.Marshal(after)
	}

	selected := 0

	for _, one := range v.All {
		one = f.couldTell(one, s.Namespace)
		in := f.injection(one)
		r.Injections = append(r.Injections, in)

		if one.Outcome != verdict.NotSelected {
			selected++

			r.finds(one, in)

			if one.Outcome == verdict.Unknown {
				r.Unread = append(r.Unread, f.unreadOf(one)...)
			}
		}
	}

	r.Calls = f.callsFor(s.Pod.Labels, f.Namespace(s.Namespace))
	r.register(f, selected > 0)

	return r, nil
}

func (f *facts) injection(one verdict.One) Injection {
	in := Injection{
		Name: one.Injection.String(), Revision: one.Injection.Revision(), Outcome: one.Outcome, Reason: string(one.Reason), Text: one.Text,
		NotReady: notReady(one.Injection, verdict.StatusOf(f.Object(one.Injection))),
	}
	if one.Reason != "" && one.Outcome != verdict.Previewed {
		in.Event = one.Injection.Title() + " not applied: " + one.Text
	}

	return in
}

// finds takes note of all that is wrong with an Injection that selects the pod.
func (r *Report) finds(one verdict.One, in Injection) {
	switch one.Outcome {
	case verdict.Failed, verdict.Denied:
		r.find("%s: %s", in.Name, orReason(in))
	case verdict.NotAsked, verdict.Stopped:
		r.find("%s: the pod does not get it: %s", in.Name, one.Text)
	default:
		if in.NotReady != "" && one.Outcome == verdict.Injected {
			r.find("%s is not in force: %s", in.Name, in.NotReady)
		}
	}
}

func orReason(in Injection) string {
	if in.Reason == "" {
		return in.Text
	}

	return in.Reason
}

func (r *Report) find(format string, args ...any) {
	r.Findings = append(r.Findings, fmt.Sprintf(format, args...))
}

// notReady is why an Injection is not in force, by its status; "" if it is.
func notReady(in *patches.Injection, status *v1alpha1.InjectionStatus) string {
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ReadyCondition)

	switch {
	case ready == nil:
		return "Telltale has not written its status. Is Telltale running?"
	case status.ObservedGeneration != in.Generation:
		return "Telltale has not seen its last edit"
	case ready.Status != metav1.ConditionTrue:
		return ready.Reason + ": " + ready.Message
	default:
		return ""
	}
}
