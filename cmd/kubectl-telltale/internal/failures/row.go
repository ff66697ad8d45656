package failures

import (
	"cmp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// Object names an owner or an Injection.
type Object struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// String is "deployment/checkout".
func (o Object) String() string { return strings.ToLower(o.Kind) + "/" + o.Name }

// Row is one failure: of an Injection, at an owner, for a reason.
type Row struct {
	Namespace string `json:"namespace,omitempty"`
	Owner     Object `json:"owner"`
	// Injection is absent if all Injections are meant.
	Injection *Object `json:"injection,omitempty"`
	Reason    string  `json:"reason"`
	// Count is that of the event: pods, or refusals of pods. It is absent if there
	// is no event, or no longer.
	Count int32 `json:"count,omitempty"`
	// First and Last are the event's; without one, when the oldest and the newest
	// of the pods were created.
	First *metav1.Time `json:"first,omitempty"`
	Last  *metav1.Time `json:"last,omitempty"`
	// Without is how many pods there are now that lack the Injection, or are stuck
	// because of it. It is absent if that can't be told.
	Without *int `json:"podsWithout,omitempty"`
	// Refused is true if the Injection says onFailure: Deny: the owner lacks pods.
	Refused bool `json:"refused,omitempty"`
	// Open is true unless the failure is over.
	Open bool   `json:"open"`
	Text string `json:"text,omitempty"`
}

// key is what a row is about.
type key struct {
	namespace string
	owner     Object
	injection failure.Injection
	reason    string
}

// pod is a pod that exists, as far as it matters.
type pod struct {
	namespace, uid string
	owner          Object
	created        metav1.Time
	failed         string // its record
}

// rowOf returns what an event of ours says.
func rowOf(e *corev1.Event) (key, *Row) {
	in, text := split(e.Message)
	k := key{e.Namespace, Object{e.InvolvedObject.Kind, e.InvolvedObject.Name}, in, e.Reason}
	r := k.row()
	r.Count, r.Text = e.Count, text
	r.First, r.Last = e.FirstTimestamp.DeepCopy(), e.LastTimestamp.DeepCopy()

	return k, r
}

func (k key) row() *Row {
	r := &Row{Namespace: k.namespace, Owner: k.owner, Reason: k.reason}
	if k.injection.Name != "" {
		r.Injection = &Object{kindOf(k.injection), k.injection.Name}
	}

	return r
}

func kindOf(in failure.Injection) string {
	if in.Cluster {
		return "ClusterInjection"
	}

	return "Injection"
}

// split takes the Injection off the start of an event's message. Telltale writes it
// there: failure.Injection.Title.
func split(message string) (in failure.Injection, text string) {
	for _, cluster := range []bool{false, true} {
		rest, ok := strings.CutPrefix(message, kindOf(failure.Injection{Cluster: cluster})+` "`)
		if name, text, found := strings.Cut(rest, `" `); ok && found {
			return failure.Injection{Cluster: cluster, Name: name}, text
		}
	}

	return failure.Injection{}, strings.TrimPrefix(message, failure.Injection{}.Title()+" ")
}

// severity orders rows: what keeps pods from running is the worst, then pods that run
// without, then what can't be told; last is what is over.
func (r *Row) severity() int {
	stuck := r.Reason == string(failure.Stuck)

	switch {
	case !r.Open:
		return 3
	case r.Refused, stuck:
		return 0
	case r.Without != nil && *r.Without > 0:
		return 1
	default:
		return 2
	}
}

func (r *Row) without() int {
	if r.Without == nil {
		return 0
	}

	return *r.Without
}

func (r *Row) last() time.Time {
	if r.Last == nil {
		return time.Time{}
	}

	return r.Last.Time
}

// sortRows puts the worst first.
func sortRows(rows []*Row) {
	slices.SortStableFunc(rows, func(a, b *Row) int {
		return cmp.Or(
			cmp.Compare(a.severity(), b.severity()), -cmp.Compare(a.without(), b.without()), -cmp.Compare(a.Count, b.Count),
			-a.last().Compare(b.last()), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Owner.String(), b.Owner.String()),
			cmp.Compare(a.Reason, b.Reason),
		)
	})
}
