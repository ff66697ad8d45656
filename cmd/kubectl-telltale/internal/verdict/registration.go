package verdict

import (
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// entry is the name of Telltale's entry in its registration.
const entry = "pods.telltale.dev"

// Entry returns Telltale's entry in a registration; nil if it has none.
func Entry(c *admissionregistrationv1.MutatingWebhookConfiguration) *admissionregistrationv1.MutatingWebhook {
	at := slices.IndexFunc(c.Webhooks, func(w admissionregistrationv1.MutatingWebhook) bool { return w.Name == entry })
	if at < 0 {
		return nil
	}

	return &c.Webhooks[at]
}

// Asks tells why the API server does not ask Telltale about a pod with these labels;
// it is empty if it does. Match conditions are not evaluated.
func Asks(w *admissionregistrationv1.MutatingWebhook, podLabels map[string]string, ns patches.Namespace) (no string) {
	if w == nil {
		return ""
	}

	if ns.Known {
		if unmet := unmet(w.NamespaceSelector, ns.Labels); unmet != "" {
			return excluded("namespaceSelector", "namespace", ns.Labels, unmet)
		}
	}

	if unmet := unmet(w.ObjectSelector, podLabels); unmet != "" {
		return excluded("objectSelector", "pod", podLabels, unmet)
	}

	return ""
}

func excluded(selector, whose string, labels map[string]string, unmet string) string {
	if labels[v1alpha1.InjectLabel] == v1alpha1.Disabled {
		return fmt.Sprintf("the %s opted out by its label %s: %s", whose, v1alpha1.InjectLabel, v1alpha1.Disabled)
	}

	return fmt.Sprintf("the registration's %s excludes the %s: %s", selector, whose, unmet)
}

func unmet(s *metav1.LabelSelector, of map[string]string) string {
	if s == nil {
		return ""
	}

	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return err.Error()
	}

	return patches.Mismatch(selector, of)
}
