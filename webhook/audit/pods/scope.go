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
	for i, old := range s.All {
		if equality.Semantic.DeepEqual(old.Namespaces, w.NamespaceSelector) && equality.Semantic.DeepEqual(old.Objects, w.ObjectSelector) {
			changed := s.Now != i
			s.Now = i

			return changed
		}
	}

	s.All = append(s.All, scope{Since: now, Namespaces: w.NamespaceSelector, Objects: w.ObjectSelector})
	if len(s.All) > maxScopes {
		s.All = s.All[1:]
	}

	s.Now = len(s.All) - 1

	return true
}

// selects tells whether a pod is in the scope of now, and since when it would have
// been in one.
func (s *scopes) selects(podLabels, namespaceLabels map[string]string) (Since, bool) {
	if len(s.All) == 0 || !s.All[s.Now].selects(podLabels, namespaceLabels) {
		return Since{}, false
	}

	for _, one := range s.All {
		if one.selects(podLabels, namespaceLabels) {
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
