package pods

import (
	"slices"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// maxScopes is how many scopes are kept. The oldest are forgotten first.
const maxScopes = 8

// scope is what a registration selected, and when it was first seen.
type scope struct {
	Since      time.Time             `json:"since"`
	Namespaces *metav1.LabelSelector `json:"namespaces,omitempty"`
	Objects    *metav1.LabelSelector `json:"objects,omitempty"`
	// Conditions is true if match conditions may leave out more pods. Nobody here can
	// tell which.
	Conditions bool `json:"conditions,omitempty"`
}

func scopeOf(w *admissionregistrationv1.MutatingWebhook, now time.Time) scope {
	return scope{Since: now, Namespaces: w.NamespaceSelector, Objects: w.ObjectSelector, Conditions: len(w.MatchConditions) > 0}
}

// is tells whether two scopes are the same, but for the time.
func (s scope) is(other scope) bool {
	return s.Conditions == other.Conditions && equality.Semantic.DeepEqual(s.Namespaces, other.Namespaces) &&
		equality.Semantic.DeepEqual(s.Objects, other.Objects)
}

// scopes are those that there were, by the time when each was first seen, and the
// index of the one that there is. If the registration is deleted, that is the last
// one: only labels opt out.
type scopes struct {
	All []scope `json:"all,omitempty"`
	Now int     `json:"now"`
}

// see notes the scope of a registration. It returns true if it is another one.
func (s *scopes) see(w *admissionregistrationv1.MutatingWebhook, now time.Time) bool {
	next := scopeOf(w, now)

	for i, old := range s.All {
		if old.is(next) {
			changed := s.Now != i
			s.Now = i

			return changed
		}
	}

	s.All = append(s.All, next)
	if len(s.All) > maxScopes {
		s.All = s.All[1:]
	}

	s.Now = len(s.All) - 1

	return true
}

// selects tells whether a pod is in the scope of now, and since when it would have
// been in one; never for sure if there are match conditions.
func (s *scopes) selects(podLabels, namespaceLabels map[string]string) (Since, bool) {
	if len(s.All) == 0 || !s.All[s.Now].selects(podLabels, namespaceLabels) {
		return Since{}, false
	}

	for _, one := range s.All {
		switch {
		case !one.selects(podLabels, namespaceLabels):
		case s.All[s.Now].Conditions:
			return Since{one.Since, unknown.Until}, true
		case !one.Conditions:
			return Since{one.Since, one.Since}, true
		}
	}

	return Since{}, false
}

// ever tells whether a pod with these labels was in any scope: else the API server has
// never had a reason to ask about it. Before the first scope is seen, it may have.
func (s *scopes) ever(podLabels, namespaceLabels map[string]string) bool {
	return len(s.All) == 0 || slices.ContainsFunc(s.All, func(one scope) bool { return one.selects(podLabels, namespaceLabels) })
}

func (s scope) selects(podLabels, namespaceLabels map[string]string) bool {
	return matchesAll(s.Objects, podLabels) && matchesAll(s.Namespaces, namespaceLabels)
}

func matchesAll(selector *metav1.LabelSelector, of map[string]string) bool {
	if selector == nil {
		return true
	}

	s, err := metav1.LabelSelectorAsSelector(selector)

	return err == nil && s.Matches(labels.Set(of))
}
