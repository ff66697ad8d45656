package pods

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// missedText is the event's text; the cure follows.
const missedText = "Telltale was not asked, or gave no answer, when these pods were created."

// sighting is one look at a pod that an Injection selects.
type sighting struct {
	pod    *corev1.Pod
	labels map[string]string // of the namespace
	isIn   bool              // the API server would ask about a new one
	how    watch.EventType
	isNew  bool  // it is not in the book
	known  bool  // it is, with this Injection
	was    State // in the book

	symptoms map[types.NamespacedName]symptom
}

// stateOf tells the state of an Injection on a pod from a verdict and from the state
// of before. It reports each failure that nobody has reported.
func (t *term) stateOf(s sighting, v verdict) State {
	switch v.state {
	case Injected, Outdated:
		return t.hangs.stateOf(s, v)
	case Lost:
		return t.lost(s, v)
	case Missed, Earlier, Unsure, Relabelled:
		return t.missed(s, v)
	default:
		return v.state
	}
}

// lostPod is a pod that has lost an Injection.
type lostPod struct {
	namespace string
	created   time.Time
}

func (t *term) lost(s sighting, v verdict) State {
	f := failureOf(s, v.injection, failure.Lost, "it was applied, and something took it away: "+v.text+". Find out what does that.")

	switch {
	case t.mark.Lost.has(f.Once): // the event may have expired
	case t.told[f.Once]:
		t.lostPods[f.Once] = lostPod{s.pod.Namespace, s.pod.CreationTimestamp.Time}
	default:
		t.told[f.Once], t.lostPods[f.Once] = true, lostPod{s.pod.Namespace, s.pod.CreationTimestamp.Time}
		t.reporter.Report(f)
	}

	return Lost
}

func (t *term) missed(s sighting, v verdict) State {
	f := failureOf(s, v.injection, failure.Missed, missedText)
	isOld := s.isNew && s.pod.CreationTimestamp.Time.Before(t.toldBefore(s.pod.Namespace))

	switch {
	case s.was == Missed, t.told[f.Once]:
		t.ails(s, v, f)

		return Missed // an edit since does not make it undone
	case t.mark.TimedOut.has(f.Once):
		// Of pods with the same trace, this is one that timed out (TestSameTraceNextLeader).
		t.o.Reviews.Has(patches.Trace(s.pod, s.pod.Namespace), f.Injection, s.pod.UID)

		return Failed
	case s.was == Failed:
		return Failed // only the record is gone
	case s.was == Injected, s.was == Outdated, s.was == Stuck, s.was == Lost:
		return t.gone(s, v)
	case v.state != Missed:
		delete(t.candidates, f.Once) // what is known now decides

		return v.state
	case t.isRelabelled(s, f.Once):
		t.mark.Pods.add(f.Once, s.pod.CreationTimestamp.Time)

		return Relabelled
	case isOld && !v.injection.ReadsContent():
		t.ails(s, v, f)

		return Missed // it was told, and the event has expired
	}

	if t.candidates[f.Once] == nil {
		t.candidates[f.Once] = &candidate{
			f, s.pod.UID, v.injection, s.pod.Namespace, s.labels, s.pod.CreationTimestamp.Time, time.Now(), patches.Trace(s.pod, s.pod.Namespace), isOld,
		}
	}

	return Unsure
}

// ails tells the healer of a pod whose failure was told, if a new one would be asked
// about.
func (a *Audit) ails(s sighting, v verdict, f failure.Failure) {
	if !s.isIn {
		a.o.Healer.IsGone(s.pod.UID)

		return
	}

	a.o.Healer.Ails(s.pod.UID, s.pod.CreationTimestamp.Time, nameOf(v.injection), f)
}

// gone is for a pod that was seen with the Injection, and has no record of it now. It
// is lost only if no edit since has added the part that is not there.
func (t *term) gone(s sighting, v verdict) State {
	switch {
	case v.state == Missed:
		return t.lost(s, v)
	case v.state == Relabelled: // it was there by another Injection
		return Relabelled
	case v.state == Earlier && s.was == Injected:
		return Outdated
	default:
		return s.was
	}
}

// isRelabelled tells whether a pod may be older than the labels by which the
// Injection selects it: the book would have it, or the last leader's mark.
func (t *term) isRelabelled(s sighting, once string) bool {
	created := s.pod.CreationTimestamp.Time
	changed, _ := labelled(s.pod)

	switch _, marked := t.mark.Pods[once]; {
	case marked:
		return true
	case s.how == watch.Added:
		return false
	case s.known:
		return s.was == Relabelled
	case s.how == watch.Modified:
		return true
	default:
		return !t.heard.IsZero() && created.Before(t.heard.Add(-margin)) || changed.After(created.Add(newborn))
	}
}

// forget is for a pod that is gone.
func (t *term) forget(uid types.UID, e *entry) {
	t.o.Healer.IsGone(uid)

	if e == nil {
		return
	}

	for _, s := range e.states {
		delete(t.hangs.all, hangKey{uid, s.name})

		for _, reason := range toldOnce() {
			once := failure.OnceOf(uid, s.name, reason)
			delete(t.told, once)
			delete(t.mark.Pods, once)
			delete(t.mark.TimedOut, once)
			delete(t.mark.Lost, once)
			delete(t.lostPods, once)
		}
	}
}

// toldOnce are the reasons of failures that the audit finds.
func toldOnce() []failure.Reason {
	return []failure.Reason{failure.Missed, failure.Lost, failure.Stuck}
}

func failureOf(s sighting, in *patches.Injection, reason failure.Reason, text string) failure.Failure {
	owner := failure.Ref{APIVersion: "v1", Kind: "Pod", Namespace: s.pod.Namespace, Name: s.pod.Name, UID: s.pod.UID}

	if c := controllerOf(s.pod); c != nil {
		owner = failure.Ref{APIVersion: c.APIVersion, Kind: c.Kind, Namespace: s.pod.Namespace, Name: c.Name, UID: c.UID}
	}

	return failure.Failure{
		Reason: reason, Injection: failure.Injection{Cluster: in.Cluster(), Name: in.Name}, Revision: in.Revision(),
		Owner: owner, Pod: s.pod.Name, Text: text, Once: failure.OnceOf(s.pod.UID, nameOf(in), reason),
	}
}
