//go:build apiserver

package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// TestRegistration holds that a cluster is safe from us: the API server waits only
// for pods that matter, not for long, and goes on without us.
func TestRegistration(t *testing.T) {
	selectors := func(s ...metav1.LabelSelectorRequirement) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchExpressions: s}
	}
	optedOut := metav1.LabelSelectorRequirement{
		Key: v1alpha1.InjectLabel, Operator: metav1.LabelSelectorOpNotIn, Values: []string{v1alpha1.Disabled},
	}
	inCluster := admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{
		Namespace: "telltale-system", Name: "telltale-webhook", Path: new("/mutate--v1-pod"),
	}}
	want := admissionv1.MutatingWebhook{
		Name: "pods.telltale.dev",
		Rules: []admissionv1.RuleWithOperations{{
			Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule: admissionv1.Rule{
				APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"},
				Scope: new(admissionv1.NamespacedScope),
			},
		}},
		FailurePolicy:           new(admissionv1.Ignore),
		MatchPolicy:             new(admissionv1.Equivalent),
		SideEffects:             new(admissionv1.SideEffectClassNoneOnDryRun),
		ReinvocationPolicy:      new(admissionv1.NeverReinvocationPolicy),
		TimeoutSeconds:          new(int32(5)),
		AdmissionReviewVersions: []string{"v1"},
		ObjectSelector:          selectors(optedOut),
		NamespaceSelector: selectors(metav1.LabelSelectorRequirement{
			Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn,
			Values: []string{"kube-system", "kube-node-lease"},
		}, optedOut),
	}

	cases := map[string]struct {
		reason       string
		folder       string
		clientConfig admissionv1.WebhookClientConfig
		annotations  map[string]string
	}{
		"Default": {
			reason:       "caBundle is left to Telltale: another apply does not reset a field that is not declared.",
			folder:       "default",
			clientConfig: inCluster,
		},
		"CertManager": {
			reason:       "caBundle is left to cert-manager, which finds it by the annotation.",
			folder:       "overlays/cert-manager",
			clientConfig: inCluster,
			annotations:  map[string]string{"cert-manager.io/inject-ca-from": "telltale-system/telltale-serving-cert"},
		},
		"Local": {
			reason:       "The API server calls this machine.",
			folder:       "overlays/local",
			clientConfig: admissionv1.WebhookClientConfig{URL: new("https://localhost:9443/mutate--v1-pod")},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			want := want
			want.ClientConfig = tc.clientConfig

			got := only[admissionv1.MutatingWebhookConfiguration](t, build(t, tc.folder), "MutatingWebhookConfiguration")
			if diff := cmp.Diff([]admissionv1.MutatingWebhook{want}, got.Webhooks); diff != "" {
				t.Errorf("%s\n-want +got\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.annotations, got.Annotations); diff != "" {
				t.Errorf("%s\n-want +got\n%s", tc.reason, diff)
			}
			if got.Name != "telltale" {
				t.Errorf("it is named %q, but Telltale looks for %q", got.Name, "telltale")
			}
		})
	}
}
