package failures

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/scan"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// found is all that was read.
type found struct {
	namespace  string // that was looked at; "" for all
	events     []*corev1.Event
	pods       []pod
	noPods     bool            // they could not be read
	pending    map[string]bool // uids of the pods that have not started
	injections []scan.Injection
}

// rows joins what was read: a row for each event, with the pods that it means, and
// one for what pods or Injections say and no event does, because it has expired.
func (f *found) rows() []*Row {
	byKey := map[key]*Row{}
	restored := map[key]metav1.Time{} // by namespace and owner

	for _, e := range f.events {
		switch reason := failure.Reason(e.Reason); {
		case reason == failure.Restored:
			restored[ownerKey(e)] = e.LastTimestamp
		case slices.Contains(failure.Reasons(), reason):
			k, r := rowOf(e)
			if before := byKey[k]; before == nil || before.last().Before(r.last()) { // another of that name is gone
				byKey[k] = r
			}
		}
	}

	f.addPods(byKey)
	f.countTold(byKey)
	f.judge(byKey, restored)
	f.addInjections(byKey)

	rows := make([]*Row, 0, len(byKey))
	for _, r := range byKey {
		rows = append(rows, r)
	}

	sortRows(rows)

	return rows
}

func ownerKey(e *corev1.Event) key {
	return key{namespace: e.Namespace, owner: Object{e.InvolvedObject.Kind, e.InvolvedObject.Name}}
}

// addPods counts the pods whose records say that an Injection failed.
func (f *found) addPods(byKey map[key]*Row) {
	for i := range f.pods {
		p := &f.pods[i]

		records, _ := v1alpha1.ParseRecord(p.failed)
		for _, recorded := range records {
			k := key{p.namespace, p.owner, failure.InjectionOf(recorded.Name), recorded.Reason}

			r := byKey[k]
			if r == nil {
				r = k.row()
				byKey[k] = r
			}

			n := r.without() + 1
			r.Without = &n

			if r.Count == 0 && (r.First == nil || p.created.Before(r.First)) {
				r.First = p.created.DeepCopy()
			}

			if r.Count == 0 && (r.Last == nil || r.Last.Before(&p.created)) {
				r.Last = p.created.DeepCopy()
			}
		}
	}
}

// told are the reasons of failures whose events name the pods, as no record does.
func told(reason string) bool {
	return slices.Contains([]failure.Reason{failure.Missed, failure.Lost, failure.Stuck}, failure.Reason(reason))
}

// countTold counts the pods that events name and that there still are.
func (f *found) countTold(byKey map[key]*Row) {
	if f.noPods {
		return
	}

	kinds := map[key]bool{} // without owners: what pods of a namespace may be named for
	for k := range byKey {
		if told(k.reason) {
			k.owner = Object{}
			kinds[k] = true
		}
	}

	pods := map[string][]*pod{}
	for i := range f.pods {
		pods[f.pods[i].namespace] = append(pods[f.pods[i].namespace], &f.pods[i])
	}

	there := map[string]bool{}

	for k := range kinds {
		for _, p := range pods[k.namespace] {
			if k.reason != string(failure.Stuck) || f.pending[p.uid] {
				there[failure.OnceOf(types.UID(p.uid), nameOf(k), failure.Reason(k.reason))] = true
			}
		}
	}

	for _, e := range f.events {
		if k, _ := rowOf(e); told(k.reason) {
			n := max(namesThere(e, there), byKey[k].without()) // an owner of before may have had the same name
			byKey[k].Without = &n
		}
	}
}

// nameOf is the name of the Injection of a key.
func nameOf(k key) types.NamespacedName {
	if k.injection.Cluster {
		return types.NamespacedName{Name: k.injection.Name}
	}

	return types.NamespacedName{Namespace: k.namespace, Name: k.injection.Name}
}

// namesThere counts the names on an event that are those of pods that exist.
func namesThere(e *corev1.Event, there map[string]bool) (n int) {
	for at, names := range e.Annotations {
		if !strings.HasPrefix(at, failure.OncePrefix) {
			continue
		}

		for name := range strings.SplitSeq(names, ",") {
			if there[name] {
				n++
			}
		}
	}

	return n
}

// judge tells which failures are over. Pods that timed out have no record, so only the
// end of the story tells.
func (f *found) judge(byKey map[key]*Row, restored map[key]metav1.Time) {
	denies := map[types.NamespacedName]bool{}
	for _, in := range f.injections {
		denies[types.NamespacedName{Namespace: in.GetNamespace(), Name: in.GetName()}] = in.Deny
	}

	for k, r := range byKey {
		end, ended := restored[key{namespace: k.namespace, owner: k.owner}]
		ended = ended && !end.Time.Before(r.last())
		r.Refused = denies[nameOf(k)] && k.reason != string(failure.Missed) && k.reason != string(failure.Timeout) && !ended && r.without() == 0

		unknown := f.noPods || k.reason == string(failure.Timeout)
		if r.Without == nil && !unknown {
			r.Without = new(int)
		}

		r.Open = r.without() > 0 || !ended && (r.Refused || r.Without == nil)
	}
}

// addInjections adds what only the status of Injections says.
func (f *found) addInjections(byKey map[key]*Row) {
	shown := map[key]bool{}
	for k := range byKey {
		if !k.injection.Cluster {
			shown[key{namespace: k.namespace, injection: k.injection, reason: k.reason}] = true
		} else {
			shown[key{injection: k.injection, reason: k.reason}] = true
		}
	}

	for _, in := range f.injections {
		k := key{in.GetNamespace(), Object{in.Kind, in.GetName()}, failure.Injection{Cluster: in.GetNamespace() == "", Name: in.GetName()}, ""}

		if c := meta.FindStatusCondition(in.Status.Conditions, v1alpha1.StalledCondition); c != nil && c.Status == metav1.ConditionTrue {
			k.reason = c.Reason
			r := k.row()
			r.Text, r.Last, r.Open = c.Message, c.LastTransitionTime.DeepCopy(), true
			byKey[k] = r
		}

		if in.Status.Pods == nil || k.injection.Cluster && f.namespace != "" {
			continue
		}

		for reason, n := range map[failure.Reason]int32{
			failure.Missed: in.Status.Pods.Missed, failure.Lost: in.Status.Pods.Lost, failure.Stuck: in.Status.Pods.Stuck,
		} {
			k.reason = string(reason)
			if n == 0 || shown[key{namespace: k.namespace, injection: k.injection, reason: k.reason}] {
				continue
			}

			r, without := k.row(), int(n)
			r.Without, r.Open = &without, true
			r.Text = fmt.Sprintf("%d pods; the events on their owners have expired. kubectl telltale restart-outdated lists the owners.", n)
			byKey[k] = r
		}
	}
}
