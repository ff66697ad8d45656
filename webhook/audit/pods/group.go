package pods

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// group counts the pods of one controller that Injections select.
type group struct {
	controller failure.Ref
	owner      failure.Ref // the object that events are on; zero: not looked up yet

	all    int       // pods
	pods   int       // of them: without those that have ended and lack an Injection
	whole  int       // of them: have all of their Injections
	newest time.Time // when the newest whole pod was created
}

// maxName is how long the name of an object can be. An owner reference may have any
// text.
const maxName = 253

// controllerOf returns the reference to the controller of a pod, or nil if there is none,
// or can't be.
func controllerOf(pod metav1.Object) *metav1.OwnerReference {
	by := metav1.GetControllerOf(pod)
	if by == nil || max(len(by.APIVersion), len(by.Kind), len(by.Name), len(by.UID)) > maxName {
		return nil
	}

	return by
}

// groups are those of the pods that exist, by the uid of the controller.
type groups struct {
	all    map[types.UID]*group
	spoilt map[types.UID]*group // had bad pods since they were last taken from here; their pods may be gone
}

func newGroups() groups {
	return groups{all: map[types.UID]*group{}, spoilt: map[types.UID]*group{}}
}

// of returns the group of a pod, or nil if no object controls it.
func (gs *groups) of(pod *corev1.Pod) *group {
	by := controllerOf(pod)
	if by == nil {
		return nil
	}

	g := gs.all[by.UID]
	if g == nil {
		g = &group{controller: failure.Ref{APIVersion: by.APIVersion, Kind: by.Kind, Namespace: pod.Namespace, Name: by.Name, UID: by.UID}}
		gs.all[by.UID] = g
	}

	return g
}

// add counts a pod in its group.
func (gs *groups) add(e *entry) {
	if e.group == nil {
		return
	}

	e.group.count(e, 1)

	if e.isBad() {
		gs.spoilt[e.group.controller.UID] = e.group
	}
}

// remove no longer counts a pod. A group without pods is forgotten.
func (gs *groups) remove(e *entry) {
	if e.group == nil {
		return
	}

	e.group.count(e, -1)

	if e.group.all == 0 {
		delete(gs.all, e.group.controller.UID)
	}
}

func (g *group) count(e *entry, n int) {
	g.all += n

	switch {
	case e.isWhole():
		g.pods += n
		g.whole += n
	case !e.isOver:
		g.pods += n
	}
}

// include adds the pods of another group of the same owner.
func (g *group) include(other *group) {
	g.pods += other.pods
	g.whole += other.whole

	if other.newest.After(g.newest) {
		g.newest = other.newest
	}
}

func (e *entry) isWhole() bool {
	for _, s := range e.states {
		if s.state != Injected && s.state != Outdated && s.state != Previewed && s.state != Unfit {
			return false
		}
	}

	return true
}

// isBad tells whether an Injection failed on a pod, or was missed or lost.
func (e *entry) isBad() bool {
	for _, s := range e.states {
		if !e.isOver && (s.state == Failed || s.state == Missed || s.state == Lost || s.state == Stuck) {
			return true
		}
	}

	return false
}

// isOver tells whether a pod has ended, or is about to.
func isOver(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}
