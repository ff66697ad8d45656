package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// InjectionStatus is what Telltale says of an Injection. One replica, the
// leader, writes it.
type InjectionStatus struct {
	// The generation that the status speaks of.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// A short hash of what the Injection adds to a pod. An edit of the selector
	// keeps it.
	//
	// +optional
	Revision string `json:"revision,omitempty"`

	// The time since when all replicas of Telltale have the generation that the
	// status speaks of. Pods from before it need not have that.
	//
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// How many pods there are, by what became of the Injection on them. A pod that
	// is older than the Injection or its last edit is only in selected. Absent until
	// they are counted, and without the audit.
	//
	// +optional
	Pods *PodCounts `json:"pods,omitempty"`

	// The verdict of Telltale. The condition Ready is True while the Injection
	// is in force and False, with the reason, while it can't be used; then the
	// condition Stalled is True as well. In force means that all replicas of
	// Telltale inject it. Ready is also False with reason Spreading while one
	// lacks the edit, and with reason Stopped while an administrator has stopped
	// all injection, or with reason Preview or Paused, by its mode. The condition Audited is there, and False, while Telltale does
	// not look at the pods that exist.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// The API server's answer to the question if it takes pods with all of this.
	// Absent until the API server was asked.
	//
	// +optional
	ServerCheck *ServerCheck `json:"serverCheck,omitempty"`

	// The owners that start their new pods without the Injection, as pods with it
	// were refused, or did not start. An edit of the Injection empties it.
	//
	// +optional
	// +listType=atomic
	Withdrawn []Withdrawal `json:"withdrawn,omitempty"`
}

// Refusal is what the API server has against a revision of the Injection; "" if it
// has nothing, or was not asked.
func (s *InjectionStatus) Refusal(revision string) string {
	if c := s.ServerCheck; c != nil && c.Revision == revision {
		return c.Refused
	}

	return ""
}

// PodCounts are numbers of pods that exist.
type PodCounts struct {
	// Pods that the Injection selects.
	Selected int32 `json:"selected"`

	// Pods that have all of it, and are not stuck.
	Injected int32 `json:"injected"`

	// Pods that have an older revision, or one of its parts with another value.
	Outdated int32 `json:"outdated"`

	// Pods whose record says that it failed. With mode: Preview, the pods that it
	// would fail on.
	Failed int32 `json:"failed"`

	// Pods that were created without Telltale being asked.
	Missed int32 `json:"missed"`

	// Pods that it was applied to, and that lack a part of it.
	Lost int32 `json:"lost"`

	// Pods that have all of it, and do not start because of it: an init container
	// that it added fails, or a Secret or ConfigMap that it names is missing.
	//
	// +optional
	Stuck int32 `json:"stuck"`

	// With mode: Preview, why it would fail on the pods that failed counts: one entry
	// for each reason. Absent in other modes.
	//
	// +optional
	// +listType=atomic
	WouldFail []WouldFail `json:"wouldFail,omitempty"`
}

// WouldFail is a reason why an Injection with mode: Preview would fail.
type WouldFail struct {
	// The reason, as an event would have it: InjectionConflict, say.
	Reason string `json:"reason"`

	// The number of pods that it would fail on.
	Pods int32 `json:"pods"`

	// One of these pods: its namespace and its name.
	Example string `json:"example"`

	// The event's text for that pod.
	Text string `json:"text"`
}

// Withdrawal names an owner that starts its new pods without an Injection, and why. Without a
// name it stands for all owners in the namespace; without a namespace, too, for
// all pods.
type Withdrawal struct {
	// The namespace of the owner.
	//
	// +optional
	Namespace string `json:"namespace,omitempty"`

	// The kind of the owner: ReplicaSet, StatefulSet, DaemonSet, Job, CronJob or
	// another controller of pods.
	//
	// +optional
	Kind string `json:"kind,omitempty"`

	// The name of the owner.
	//
	// +optional
	Name string `json:"name,omitempty"`

	// The uid of the owner. A CronJob's Jobs are known by its name.
	//
	// +optional
	UID types.UID `json:"uid,omitempty"`

	// The pod template of a StatefulSet (the pods' label controller-revision-hash)
	// or of a DaemonSet (pod-template-generation): a new one is a new try.
	//
	// +optional
	Template string `json:"template,omitempty"`

	// The revision of the Injection that was refused, or that pods did not start
	// with.
	Revision string `json:"revision"`

	// InjectionStuck where pods with the Injection did not start. Absent where they
	// were refused.
	//
	// +optional
	Reason WithdrawalReason `json:"reason,omitempty"`

	// Trial: the owner's next pod is tried without the Injection. Withdrawn: a pod
	// without it was created, or none with it has started, so that its pods start
	// without it. Retry: they get it again.
	Phase WithdrawalPhase `json:"phase"`

	// The time when the phase began. A withdrawal's is that of its trial.
	Since metav1.Time `json:"since"`

	// The time when the owner's pods get the Injection again, unless an edit or a
	// rollout comes first. Absent in a trial.
	//
	// +optional
	Until *metav1.Time `json:"until,omitempty"`

	// How often it was withdrawn. Each time the wait doubles, from 10 minutes to 6
	// hours.
	//
	// +optional
	Tries int32 `json:"tries,omitempty"`

	// The refusal, in the API server's words; or the part of the pods that did not
	// start. One line.
	//
	// +kubebuilder:validation:MaxLength=1024
	Text string `json:"text"`
}

// Fate is what became of pods with the Injection, for a sentence: "were refused".
func (w *Withdrawal) Fate() string {
	if w.Reason == StuckReason {
		return "did not start"
	}

	return "were refused"
}

// WithdrawalReason says what became of the pods that had the Injection.
//
// +kubebuilder:validation:Enum=InjectionStuck
type WithdrawalReason string

// StuckReason is for pods that did not start.
const StuckReason WithdrawalReason = "InjectionStuck"

// WithdrawalPhase says how far a withdrawal is.
//
// +kubebuilder:validation:Enum=Trial;Withdrawn;Retry
type WithdrawalPhase string

// The phases of a withdrawal.
const (
	TrialPhase     WithdrawalPhase = "Trial"
	WithdrawnPhase WithdrawalPhase = "Withdrawn"
	RetryPhase     WithdrawalPhase = "Retry"
)

// ServerCheck is what the API server said of one revision of an Injection. It is
// asked once for each revision, again when its version changes, and once a day.
type ServerCheck struct {
	// The revision that it was asked about.
	Revision string `json:"revision"`

	// The version of the API server that gave the answer, and the one that it
	// emulates, if it is another.
	ServerVersion string `json:"serverVersion"`

	// The time of the answer. If the servers of a control plane differ, a refusal
	// holds while there are servers of its version, and for an hour after that.
	Time metav1.Time `json:"time"`

	// The field of the Injection that the API server refuses or drops in every
	// pod, and why. Absent if it takes everything.
	//
	// +optional
	Refused string `json:"refused,omitempty"`
}
