package pods

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// Seen is what became of one Injection on a pod that exists.
type Seen struct {
	Injection *patches.Injection
	State     State
	// Text says of Missed and Lost which part is not there, and of Stuck how the
	// Injection keeps the pod from starting, and the cure.
	Text string
}

// Look tells the state of each match on a pod that exists, as the audit does, but
// without its memory: Stuck may be passing, and Missed may be wrong if something
// that decides was edited and left no time. since says when the match came to be:
// the newest of all edits that decide whether the pod gets it. A mirror pod has no
// state.
func Look(pod *corev1.Pod, matches []patches.Match, since func(*patches.Injection) Since) ([]Seen, error) {
	p, err := decoded(pod)
	if err != nil {
		return nil, fmt.Errorf("cannot read pod %s: %w", pod.Name, err)
	}

	var (
		all []Seen
		on  []*patches.Injection
	)

	for _, v := range judge(p, birthOf(pod), pod.Namespace, matches, since) {
		all = append(all, Seen{Injection: v.injection, State: v.state, Text: v.text})

		if v.revision != "" {
			on = append(on, v.injection)
		}
	}

	for name, s := range symptoms(pod, p, on) {
		for i := range all {
			if nameOf(all[i].Injection) == name && (all[i].State == Injected || all[i].State == Outdated) {
				all[i].State, all[i].Text = Stuck, s.what+". "+s.cure
			}
		}
	}

	return all, nil
}

// SetSince tells when the fields of an object were last set, as far as the API
// server has kept that: an edit that only removes something leaves no time.
func SetSince(o metav1.Object, fields ...string) Since {
	since := Since{o.GetCreationTimestamp().Time, o.GetCreationTimestamp().Time}
	if at := newestOf(o, fields); at.After(since.Until.Add(newborn)) {
		since.Until = at
	}

	return since
}

// Once names the failure of one Injection on one pod. Events have the names of the
// pods that they count in annotations with failure.OncePrefix.
func Once(uid types.UID, in *patches.Injection, reason failure.Reason) string {
	return failure.OnceOf(uid, nameOf(in), reason)
}

// String is the state as explain prints it.
func (s State) String() string {
	return [states]string{"Earlier", "Injected", "Outdated", "Failed", "Missed", "Lost", "Stuck", "Unsure", "Relabelled"}[s]
}

// newestOf is newest for some fields, by their paths in fieldsV1: "f:namespaceSelector".
func newestOf(o metav1.Object, fields []string) (at time.Time) {
	for _, by := range o.GetManagedFields() {
		if by.Subresource != "" || by.Time == nil || !by.Time.After(at) || by.FieldsV1 == nil {
			continue
		}

		if hasAny(by.FieldsV1.GetRawBytes(), fields) {
			at = by.Time.Time
		}
	}

	return at
}

func hasAny(raw []byte, fields []string) bool {
	return len(fields) == 0 || slices.ContainsFunc(fields, func(f string) bool { return bytes.Contains(raw, []byte(`"`+f+`"`)) })
}
