// Package failure names all that can go wrong: a closed list of reasons, and
// the Failure that both pipes use.
//
// One Failure is one admission in which one Injection was not applied as
// declared, or in which Telltale could not tell if it was; or one pod that exists and
// lacks an Injection, or does not start because of it. The webhook or the audit makes
// it, and the report pipe shows it on the object that owns the pod.
package failure

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// Reason says why an Injection was not applied. The same word is the event's
// reason, the metric's label and a row of the README's table.
type Reason string

// The closed list of reasons.
const (
	// Conflict: the pod, or an earlier Injection, has something with the same
	// name and another value, and the Injection says onConflict: Skip.
	Conflict Reason = "InjectionConflict"
	// Invalid: the Injection itself can't be used.
	Invalid Reason = "InjectionInvalid"
	// Unsafe: the patched pod would not be a valid pod.
	Unsafe Reason = "InjectionUnsafe"
	// Forbidden: the namespace's Pod Security level, a ResourceQuota or a
	// LimitRange would refuse the patched pod, but not the original.
	Forbidden Reason = "InjectionForbidden"
	// Refused: pods with it were refused after the webhook's answer, by a policy,
	// another webhook or a used-up quota; a pod without it was not. Or pods with it
	// did not start. Or the selector of the pod's controller excludes one of its
	// labels.
	Refused Reason = "InjectionRefused"
	// Unmet: a ConfigMap or a Secret that it requires is not there, or lacks a key.
	Unmet Reason = "InjectionUnmet"
	// Missed: the pod was created without Telltale being asked, or Telltale stood still
	// and gave no answer.
	Missed Reason = "InjectionMissed"
	// Lost: it was applied, and a part of it is not on the pod: the API server or
	// something else took it away.
	Lost Reason = "InjectionLost"
	// Stuck: it was applied, and the pod does not start because of it: a container
	// that it added fails, or an object that it names is missing.
	Stuck Reason = "InjectionStuck"
	// Timeout: the API server stopped waiting before the answer was ready.
	Timeout Reason = "InjectionTimeout"
	// Overload: too many admissions were in flight; this one was shed.
	Overload Reason = "InjectionOverload"
	// NotLoaded: the review came before the Injections, the pod's namespace, or the
	// objects that are required, were known.
	NotLoaded Reason = "InjectionsNotLoaded"
	// Error: a bug of Telltale, or a review that can't be read.
	Error Reason = "InjectionError"
)

// Reasons of notes: of Normal events, which are no failures.
const (
	// Restored: the owner had a failure, and all of its pods have their Injections now.
	Restored Reason = "InjectionRestored"
	// Healed: pods of the owner were evicted, so that their replacements are better.
	Healed Reason = "InjectionHealed"
)

// Reasons returns every reason of a failure, in the order of the README's table.
func Reasons() []Reason {
	return []Reason{Conflict, Invalid, Unsafe, Forbidden, Refused, Unmet, Missed, Lost, Stuck, Timeout, Overload, NotLoaded, Error}
}

// Notes returns the reasons of notes.
func Notes() []Reason { return []Reason{Restored, Healed} }

// IsNote tells whether it is the reason of a note.
func (r Reason) IsNote() bool { return slices.Contains(Notes(), r) }

// Injection names an Injection or a ClusterInjection. The zero value names none
// in particular: the failure touches all of them.
type Injection struct {
	// Cluster is true for a ClusterInjection.
	Cluster bool
	// Name is metadata.name. An Injection's namespace is the pod's.
	Name string
}

// clusterPrefix marks a ClusterInjection, because an Injection may have the
// same name. No object's name holds a slash.
const clusterPrefix = "cluster/"

// all is the name, in a pod's annotations, of all Injections together.
const all = "*"

// String is the name in a pod's annotations: "proxy", "cluster/corp-ca", or "*"
// for all Injections.
func (i Injection) String() string {
	switch {
	case i.Name == "":
		return all
	case i.Cluster:
		return clusterPrefix + i.Name
	default:
		return i.Name
	}
}

// InjectionOf is the Injection that has a name in a pod's annotations: what String
// returns.
func InjectionOf(name string) Injection {
	if name == all {
		return Injection{}
	}

	name, cluster := strings.CutPrefix(name, clusterPrefix)

	return Injection{Cluster: cluster, Name: name}
}

// Title is the name in a sentence: `Injection "proxy"`, `ClusterInjection
// "corp-ca"`, or "Injections" for all of them.
func (i Injection) Title() string {
	switch {
	case i.Name == "":
		return "Injections"
	case i.Cluster:
		return `ClusterInjection "` + i.Name + `"`
	default:
		return `Injection "` + i.Name + `"`
	}
}

// Ref points at one object of the API server.
type Ref struct {
	APIVersion, Kind string
	Namespace, Name  string
	UID              types.UID
}

// String is "kind namespace/name", in lower case, for logs.
func (r Ref) String() string {
	if r == (Ref{}) {
		return "unknown object"
	}

	return strings.ToLower(r.Kind) + " " + r.Namespace + "/" + r.Name
}

// Failure is one admission in which one Injection was not applied as declared. With
// the reason of a note it is a note: a Normal event, once it is written.
type Failure struct {
	Reason    Reason
	Injection Injection
	// Revision is the Injection's, a short hash of the parts that it adds. It is
	// empty if all Injections are meant. An edit changes it, so nothing is counted
	// or named by it.
	Revision string
	// Owner is the pod's controller reference from the review, with the review's
	// namespace: mostly a ReplicaSet, not yet the Deployment. For a pod without
	// a controller it is the pod itself: Kind Pod, no UID, and no Name if the
	// API server had not generated one yet. Kind Pod with a UID is another pod,
	// which controls this one. The zero Ref means that the review did not name
	// an owner, so there is no object to report on.
	Owner Ref
	// Pod is the pod's name, or its generateName followed by "*".
	Pod string
	// Text says what failed, where, and what to do about it, in one line,
	// without the Injection's name. It holds no value of an env var, nor
	// anything else that may be secret.
	Text string
	// Trial is true if it is not known yet whether the Injection is to blame: it
	// is a failure if its withdrawal passes from Trial to Withdrawn, else none.
	Trial bool
	// Once is not empty if several processes may find this failure: it names the
	// pod, and the event counts it once. It has no comma. All failures of a reason
	// have one, or none has.
	Once string
	// Trace is not empty if the API server did not wait for the answer, so the pod has
	// no record: it names the pod (patches.Trace).
	Trace string
	// HasRecord is true if the pod has a record in spite of its Trace: the API server had
	// not hung up when the answer was written.
	HasRecord bool
	// With are, in a trial, the Injections that the pod has, as its record names them,
	// with spaces between.
	With string
}
