package explain

import (
	"cmp"
	"context"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/telltale-dev/telltale/patches"
)

// Call is a webhook or a policy that the API server asks about the pod. It is not
// told whether its conditions, which are CEL, hold.
type Call struct {
	// Kind is that of the object, and Name its name. Webhook is the entry's name.
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Webhook string `json:"webhook,omitempty"`
	// Policy is its failurePolicy.
	Policy string `json:"failurePolicy,omitempty"`
	// Conditional is true if it has match conditions.
	Conditional bool `json:"conditional,omitempty"`

	rules      []admissionregistrationv1.RuleWithOperations
	namespaces *metav1.LabelSelector
	objects    *metav1.LabelSelector
}

// readCalls reads all webhooks and policies, in the order in which they are called.
//
// Source: AllOrderedPlugins, k8s.io/kubernetes v1.37.2
// pkg/kubeapiserver/options/plugins.go; webhooks are called in the order of the names
// of their configurations, k8s.io/apiserver v0.37.2
// pkg/admission/configuration/mutating_webhook_manager.go.
func (f *facts) readCalls(ctx context.Context, r *reader) {
	const what = "other webhooks and policies: "

	var (
		mutatingPolicies   admissionregistrationv1.MutatingAdmissionPolicyList
		mutating           admissionregistrationv1.MutatingWebhookConfigurationList
		validatingPolicies admissionregistrationv1.ValidatingAdmissionPolicyList
		validating         admissionregistrationv1.ValidatingWebhookConfigurationList
	)

	r.list(ctx, what+"MutatingAdmissionPolicies", false, &mutatingPolicies)
	f.callsKnown = r.list(ctx, what+"MutatingWebhookConfigurations", false, &mutating)
	f.callsKnown = r.list(ctx, what+"ValidatingAdmissionPolicies", false, &validatingPolicies) && f.callsKnown
	f.callsKnown = r.list(ctx, what+"ValidatingWebhookConfigurations", false, &validating) && f.callsKnown

	for i := range mutatingPolicies.Items {
		p := &mutatingPolicies.Items[i]
		f.calls = append(f.calls, policyCall("MutatingAdmissionPolicy", p.Name, p.Spec.FailurePolicy, len(p.Spec.MatchConditions) > 0, p.Spec.MatchConstraints))
	}

	slices.SortFunc(mutating.Items, func(a, b admissionregistrationv1.MutatingWebhookConfiguration) int {
		return cmp.Compare(a.Name, b.Name)
	})

	for i := range mutating.Items {
		for _, w := range mutating.Items[i].Webhooks {
			f.calls = append(f.calls, Call{
				Kind: "MutatingWebhookConfiguration", Name: mutating.Items[i].Name, Webhook: w.Name, Policy: policyOf(w.FailurePolicy),
				Conditional: len(w.MatchConditions) > 0, rules: w.Rules, namespaces: w.NamespaceSelector, objects: w.ObjectSelector,
			})
		}
	}

	for i := range validatingPolicies.Items {
		p := &validatingPolicies.Items[i]
		f.calls = append(f.calls, policyCall("ValidatingAdmissionPolicy", p.Name, p.Spec.FailurePolicy, len(p.Spec.MatchConditions) > 0, p.Spec.MatchConstraints))
	}

	for i := range validating.Items {
		for _, w := range validating.Items[i].Webhooks {
			f.calls = append(f.calls, Call{
				Kind: "ValidatingWebhookConfiguration", Name: validating.Items[i].Name, Webhook: w.Name, Policy: policyOf(w.FailurePolicy),
				Conditional: len(w.MatchConditions) > 0, rules: w.Rules, namespaces: w.NamespaceSelector, objects: w.ObjectSelector,
			})
		}
	}
}

func policyCall(kind, name string, policy *admissionregistrationv1.FailurePolicyType, conditional bool, match *admissionregistrationv1.MatchResources) Call {
	c := Call{Kind: kind, Name: name, Policy: policyOf(policy), Conditional: conditional}
	if match == nil {
		return c
	}

	c.namespaces, c.objects = match.NamespaceSelector, match.ObjectSelector
	for _, r := range match.ResourceRules {
		c.rules = append(c.rules, r.RuleWithOperations)
	}

	return c
}

func policyOf(p *admissionregistrationv1.FailurePolicyType) string {
	if p == nil {
		return string(admissionregistrationv1.Fail)
	}

	return string(*p)
}

// callsFor are those that a pod with these labels goes through.
func (f *facts) callsFor(podLabels map[string]string, ns patches.Namespace) (all []Call) {
	for _, c := range f.calls {
		if slices.ContainsFunc(c.rules, hasPods) && meets(c.objects, podLabels) && (!ns.Known || meets(c.namespaces, ns.Labels)) {
			all = append(all, c)
		}
	}

	return all
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

func meets(s *metav1.LabelSelector, of map[string]string) bool {
	if s == nil {
		return true
	}

	selector, err := metav1.LabelSelectorAsSelector(s)

	return err == nil && selector.Matches(labels.Set(of))
}
