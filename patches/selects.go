package patches

import (
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// The reasons why an Injection does not select a pod, in words.
const (
	podOptedOut          = "the pod opted out by its label " + v1alpha1.InjectLabel + ": " + v1alpha1.Disabled
	paused               = "it is paused: spec.mode is Paused"
	onlyPreview          = "it changes no pod: spec.mode is Preview"
	namespaceOptedOut    = "the namespace opted out by its label " + v1alpha1.InjectLabel + ": " + v1alpha1.Disabled
	otherNamespace       = "the pod is in another namespace"
	otherLabels          = "the selector does not match the pod's labels"
	otherNamespaceLabels = "the namespaceSelector does not match the labels of the pod's namespace"
)

// Mismatch says in words which terms of a selector labels do not meet; "" if they meet
// all: "it wants app=web and
// finds no label app".
func Mismatch(selector labels.Selector, of map[string]string) string {
	terms, _ := selector.Requirements()

	var unmet []string

	for _, term := range terms {
		if term.Matches(labels.Set(of)) {
			continue
		}

		has := "no label " + term.Key()
		if value, ok := of[term.Key()]; ok {
			has = term.Key() + "=" + value
		}

		unmet = append(unmet, "it wants "+term.String()+" and finds "+has)
	}

	return strings.Join(unmet, "; ")
}

// namespaceUnknown is what an undecided match waits for.
const namespaceUnknown = "the labels of the pod's namespace are not known yet"

// Selects tells whether an Injection selects a pod with these traits, and if
// not, why, and which terms of which selectors say so. It decides as Set.Match does, by
// the same functions (TestSelectsIsMatch). If the labels of the namespace decide, and are not known
// yet, the pod counts as selected, and why says so.
func (in *Injection) Selects(pod Traits, ns Namespace) (yes bool, why string) {
	if why := optedOut(pod.Labels, ns); why != "" {
		return false, why
	}

	if _, usable := in.selector.Requirements(); !usable {
		return false, in.err.Error()
	}

	if in.mode == v1alpha1.Paused {
		return false, paused
	}

	switch yes, why = in.selects(pod.Labels, ns); why {
	case otherLabels:
		why += ": " + Mismatch(in.selector, pod.Labels)
	case otherNamespaceLabels:
		why += ": " + Mismatch(in.namespaces, ns.Labels)
	}

	switch unmet := in.chooser.unmet(pod); {
	case yes && unmet == "" && in.mode == v1alpha1.Preview:
		return false, onlyPreview
	case unmet == "" || why == otherNamespace:
		return yes, why
	case yes:
		return false, unmet
	default:
		return false, why + "; " + unmet
	}
}

// optedOut tells why a pod gets no Injection at all; it is empty for most.
func optedOut(podLabels map[string]string, ns Namespace) (why string) {
	switch {
	case podLabels[v1alpha1.InjectLabel] == v1alpha1.Disabled:
		return podOptedOut
	case ns.Labels[v1alpha1.InjectLabel] == v1alpha1.Disabled:
		return namespaceOptedOut
	default:
		return ""
	}
}

// selects is Selects for a pod that has not opted out, by its labels and those of its
// namespace.
func (in *Injection) selects(podLabels map[string]string, ns Namespace) (yes bool, why string) {
	switch {
	case in.Namespace != "" && in.Namespace != ns.Name:
		return false, otherNamespace
	case !in.selector.Matches(labels.Set(podLabels)):
		return false, otherLabels
	case in.namespaces == nil || in.namespaces.Empty():
		return true, ""
	case !ns.Known:
		return true, namespaceUnknown
	case !in.namespaces.Matches(labels.Set(ns.Labels)):
		return false, otherNamespaceLabels
	default:
		return true, ""
	}
}

// match adds the Injection to those found, if it selects the pod.
func (in *Injection) match(found []Match, pod *Traits, ns Namespace) []Match {
	if yes, why := in.selects(pod.Labels, ns); yes && in.chooser.chooses(*pod) {
		found = append(found, Match{Injection: in, Undecided: why != "", namespace: ns})
	}

	return found
}
