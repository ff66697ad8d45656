package canary

import (
	"fmt"
	"slices"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// entry is the name of Telltale's entry in its registration.
const entry = "pods.telltale.dev"

// registration is the entry, and the names of things for people.
type registration struct {
	*admissionregistrationv1.MutatingWebhook

	name string // of the MutatingWebhookConfiguration
	home string // the canary's namespace
}

// entryOf returns the entry of a configuration; nil if it has none.
func entryOf(c *admissionregistrationv1.MutatingWebhookConfiguration) *admissionregistrationv1.MutatingWebhook {
	i := slices.IndexFunc(c.Webhooks, func(w admissionregistrationv1.MutatingWebhook) bool { return w.Name == entry })
	if i < 0 {
		return nil
	}

	return &c.Webhooks[i]
}

// patience is how long the API server waits for an answer. It fills in a default, so
// there is always one.
//
// Source: SetDefaults_MutatingWebhook, k8s.io/kubernetes v1.37.2
// pkg/apis/admissionregistration/v1/defaults.go.
func (r registration) patience() time.Duration {
	seconds := int32(10)
	if r.TimeoutSeconds != nil {
		seconds = *r.TimeoutSeconds
	}

	return time.Duration(seconds) * time.Second
}

// omits tells why the registration leaves the canary pod out, without its match
// conditions. An empty finding means that it does not.
func (r registration) omits(namespaceLabels, podLabels map[string]string) finding {
	const cure = " If that is meant, have it select the canary, too; else apply the manifests again."

	of := fmt.Sprintf(" of mutatingwebhookconfiguration/%s", r.name)
	own := labels.Set{corev1.LabelMetadataName: r.home}

	if !slices.ContainsFunc(r.Rules, hasPods) {
		return finding{Narrowed, "The rules" + of + " have no CREATE of pods. Apply the manifests again."}
	}

	if missed, bad := unmet(r.NamespaceSelector, namespaceLabels); bad {
		if _, isName := unmet(r.NamespaceSelector, own); !isName {
			return finding{Excluded, fmt.Sprintf("The labels of namespace %s exclude it, by the namespaceSelector%s: %s. Remove the label.", r.home, of, missed)}
		}

		return finding{Narrowed, fmt.Sprintf("The namespaceSelector%s leaves namespace %s out: %s.%s", of, r.home, missed, cure)}
	}

	if missed, bad := unmet(r.ObjectSelector, podLabels); bad {
		return finding{Narrowed, fmt.Sprintf("The objectSelector%s leaves the canary pod out: %s.%s", of, missed, cure)}
	}

	return finding{}
}

// conditions is the finding where only the match conditions are left as the cause.
// They are not evaluated here.
func (r registration) conditions() finding {
	names := make([]string, len(r.MatchConditions))
	for i, c := range r.MatchConditions {
		names[i] = c.Name
	}

	return finding{Narrowed, fmt.Sprintf("All else is right, so a match condition of mutatingwebhookconfiguration/%s leaves the canary pod out, or fails: %s. "+
		"If that is meant, have it select the canary, too; else remove it.", r.name, strings.Join(names, ", "))}
}

// hasPods tells whether a rule has the creation of pods.
func hasPods(r admissionregistrationv1.RuleWithOperations) bool {
	has := func(all []string, wanted ...string) bool {
		return slices.ContainsFunc(wanted, func(one string) bool { return slices.Contains(all, one) })
	}

	return (slices.Contains(r.Operations, admissionregistrationv1.Create) || slices.Contains(r.Operations, admissionregistrationv1.OperationAll)) &&
		has(r.APIGroups, "", "*") && has(r.APIVersions, "v1", "*") && has(r.Resources, "pods", "*", "*/*") &&
		(r.Scope == nil || *r.Scope != admissionregistrationv1.ClusterScope)
}

// unmet returns the requirements of a selector that labels do not meet.
func unmet(s *metav1.LabelSelector, of labels.Set) (missed string, bad bool) {
	if s == nil {
		return "", false
	}

	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return err.Error(), true
	}

	requirements, _ := selector.Requirements()

	var all []string

	for _, r := range requirements {
		if !r.Matches(of) {
			all = append(all, r.String())
		}
	}

	return strings.Join(all, ", "), len(all) > 0
}
