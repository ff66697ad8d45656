package explain

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/verdict"
	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/audit/pods"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// maxPods is how many pods of an object are looked at.
const maxPods = 500

// Existing is a pod that exists.
type Existing struct {
	Name string `json:"name"`
	// Asked says by the pod's record whether Telltale was asked when it was created:
	// Yes, No (by the audit), or Unknown.
	Asked string `json:"asked"`
	// Injected, Failed and Previewed are the record.
	Injected  string `json:"injected,omitempty"`
	Failed    string `json:"failed,omitempty"`
	Previewed string `json:"previewed,omitempty"`
	// States are those of the audit, by Injection.
	States []State `json:"states,omitempty"`
}

// State is what became of an Injection on a pod that exists.
type State struct {
	Injection string `json:"injection"`
	// State is Injected, Outdated, Failed, Missed, Lost, Stuck, Earlier (the pod is
	// older), Relabelled (the Injection did not select it when it was created) or
	// Unsure.
	State string `json:"state"`
	Text  string `json:"text,omitempty"`
}

// Event is one of Telltale's events.
type Event struct {
	Type    string    `json:"type"`
	Reason  string    `json:"reason"`
	Count   int32     `json:"count"`
	Last    time.Time `json:"last"`
	Message string    `json:"message"`
}

// live adds to a report the pods that exist, and the events.
func (f *facts) live(ctx context.Context, r *reader, s *verdict.Subject, to *Report) {
	owner, existing := s.UID, []corev1.Pod{*s.Pod}

	if s.Template {
		existing = podsOf(ctx, r, s)
	} else {
		owner = ownerOf(ctx, r, s)
	}

	events := eventsOn(ctx, r, s.Namespace, owner)
	for i := range events {
		e := &events[i]
		to.Events = append(to.Events, Event{e.Type, e.Reason, max(e.Count, 1), e.LastTimestamp.Time, e.Message})
	}

	for i := range existing {
		e, err := f.look(&existing[i], events)
		if err != nil {
			r.note("pod "+existing[i].Name, false, err)

			continue
		}

		to.Pods = append(to.Pods, e)
		for _, state := range e.States {
			if slices.Contains([]string{"Missed", "Lost", "Stuck", "Outdated", "Failed"}, state.State) {
				to.find("pod %s: %s of %s", e.Name, state.State, state.Injection)
			}
		}
	}

	to.Unread = r.unread
}

// look tells what became of the Injections on a pod.
func (f *facts) look(pod *corev1.Pod, events []corev1.Event) (Existing, error) {
	e := Existing{
		Name: pod.Name, Asked: "Unknown",
		Injected: pod.Annotations[v1alpha1.InjectedAnnotation], Failed: pod.Annotations[v1alpha1.FailedAnnotation],
		Previewed: pod.Annotations[v1alpha1.PreviewedAnnotation],
	}
	if e.Injected+e.Failed+e.Previewed != "" {
		e.Asked = "Yes"
	}

	matches, err := f.Match(patches.TraitsOf(pod), pod.Namespace)
	if err != nil {
		return e, err
	}

	seen, err := pods.Look(pod, matches, f.since)
	if err != nil {
		return e, err
	}

	told := toldOf(events)

	for _, one := range seen {
		state := State{Injection: one.Injection.String(), State: one.State.String(), Text: one.Text}

		switch missed := told[pods.Once(pod.UID, one.Injection, failure.Missed)]; {
		case missed:
			e.Asked, state.State = "No", pods.Missed.String()
		case one.State == pods.Missed:
			state.State = pods.Unsure.String()
			state.Text = "the pod has no record, and it is younger than the edits that have left a time: Telltale may not have been asked. The audit has not said so."
		case one.State == pods.Relabelled:
			state.Text = "it did not select the pod when that was created"
		case one.State == pods.Earlier:
			state.Text = "the pod is older than the Injection, or than an edit that decides"
		}

		e.States = append(e.States, state)
	}

	return e, nil
}

// since tells since when all that decides about an Injection is as it is now, as far
// as the objects say.
func (f *facts) since(in *patches.Injection) pods.Since {
	latest := pods.Since{After: time.Time{}, Until: never}

	status := verdict.StatusOf(f.Object(in))
	if f.namespace == nil || status.Since == nil || status.ObservedGeneration != in.Generation {
		return latest
	}

	latest = pods.Since{After: status.Since.Time, Until: status.Since.Time}

	all := []pods.Since{pods.SetSince(f.namespace, "f:labels")}
	if f.registration != nil {
		all = append(all, pods.SetSince(f.registration, "f:namespaceSelector", "f:objectSelector"))
	}

	for _, s := range all {
		latest.After, latest.Until = newest(latest.After, s.After), newest(latest.Until, s.Until)
	}

	return latest
}

// never is for something that may still change.
var never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant

func newest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}

	return a
}

// toldOf are the names of the failures that events count.
func toldOf(events []corev1.Event) map[string]bool {
	told := map[string]bool{}

	for i := range events {
		for key, names := range events[i].Annotations {
			if !strings.HasPrefix(key, failure.OncePrefix) {
				continue
			}

			for name := range strings.SplitSeq(names, ",") {
				told[name] = true
			}
		}
	}

	return told
}

// podsOf are the pods of an object, by its selector.
func podsOf(ctx context.Context, r *reader, s *verdict.Subject) []corev1.Pod {
	selector, err := metav1.LabelSelectorAsSelector(s.Selector)
	if s.Selector == nil || err != nil || s.UID == "" {
		return nil
	}

	var list corev1.PodList
	r.list(ctx, fmt.Sprintf("the pods of %s", s), false, &list,
		client.InNamespace(s.Namespace), client.MatchingLabelsSelector{Selector: selector}, client.Limit(maxPods))

	controllers := map[types.UID]bool{s.UID: true}
	for _, uid := range replicaSetsOf(ctx, r, s) {
		controllers[uid] = true
	}

	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool {
		c := metav1.GetControllerOf(&p)

		return c == nil || !controllers[c.UID]
	})
}

// ownerOf is the uid of the object that events about a pod are on.
func ownerOf(ctx context.Context, r *reader, s *verdict.Subject) types.UID {
	c := metav1.GetControllerOf(s.Pod)
	if c == nil {
		return s.UID
	}

	if c.Kind != "ReplicaSet" && c.Kind != "Job" {
		return c.UID
	}

	var by metav1.PartialObjectMetadata
	by.APIVersion, by.Kind = c.APIVersion, c.Kind

	if found, _ := r.get(ctx, fmt.Sprintf("the owner of %s", s), false, &by, s.Namespace, c.Name); !found || by.UID != c.UID {
		return c.UID
	}

	if owner := metav1.GetControllerOf(&by); owner != nil {
		return owner.UID
	}

	return c.UID
}

// eventsOn are Telltale's events on an object, the newest last.
func eventsOn(ctx context.Context, r *reader, namespace string, uid types.UID) []corev1.Event {
	if uid == "" {
		return nil
	}

	var list corev1.EventList
	r.list(ctx, "events of namespace "+namespace, false, &list, client.InNamespace(namespace),
		client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("involvedObject.uid", string(uid))})

	events := slices.DeleteFunc(list.Items, func(e corev1.Event) bool { return e.Source.Component != "telltale" })
	slices.SortStableFunc(events, func(a, b corev1.Event) int { return a.LastTimestamp.Compare(b.LastTimestamp.Time) })

	return events
}

// counts are how many pods are in which state, for one Injection: "2 Injected".
func counts(of string, existing []Existing) string {
	n := map[string]int{}

	for _, e := range existing {
		for _, s := range e.States {
			if s.Injection == of {
				n[s.State]++
			}
		}
	}

	var all []string
	for _, state := range slices.Sorted(maps.Keys(n)) {
		all = append(all, fmt.Sprintf("%d %s", n[state], state))
	}

	return strings.Join(all, ", ")
}
