//go:build apiserver

package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// TestNamespace builds Telltale as it is, and as a kustomization with another
// `namespace` makes it. All of it is in that namespace, and its own pods never
// wait for it.
func TestNamespace(t *testing.T) {
	cases := map[string]struct {
		reason, folder, namespace string
		more                      string // of the kustomization
	}{
		"Default":     {reason: "As most people install it.", folder: "default", namespace: "telltale-system"},
		"Small":       {reason: "Components are built before the namespace is set.", folder: "overlays/small", namespace: "injection"},
		"Other":       {reason: "Many companies name namespaces by a rule.", folder: "default", namespace: "injection"},
		"CertManager": {reason: "Names within texts take the lines that docs/install.md has.", folder: "overlays/cert-manager", namespace: "injection", more: replacements(t)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			built := build(t, inNamespace(t, tc.folder, tc.namespace, tc.more))
			if tc.namespace != "telltale-system" && strings.Contains(built, "telltale-system") {
				t.Errorf("%s\nIt still has telltale-system:\n%s", tc.reason, strings.Join(regexp.MustCompile(`.*telltale-system.*`).FindAllString(built, -1), "\n"))
			}

			var (
				webhook    = only[admissionv1.MutatingWebhookConfiguration](t, built, "MutatingWebhookConfiguration").Webhooks[0]
				own        = only[corev1.Namespace](t, built, "Namespace")
				deployment = only[appsv1.Deployment](t, built, "Deployment")
			)

			if own.Name != tc.namespace || deployment.Namespace != tc.namespace || webhook.ClientConfig.Service.Namespace != tc.namespace {
				t.Errorf("%s\nNamespace %s, Deployment in %s, Service in %s", tc.reason, own.Name, deployment.Namespace, webhook.ClientConfig.Service.Namespace)
			}

			if selects(t, webhook.NamespaceSelector, own.Labels, own.Name) {
				t.Errorf("%s\nThe webhook selects its own namespace", tc.reason)
			}

			if selects(t, webhook.ObjectSelector, deployment.Spec.Template.Labels, "") {
				t.Errorf("%s\nThe webhook selects its own pods", tc.reason)
			}

			if !selects(t, webhook.NamespaceSelector, nil, "shop") || !selects(t, webhook.ObjectSelector, map[string]string{"app": "checkout"}, "") {
				t.Errorf("%s\nThe webhook does not select other pods", tc.reason)
			}
		})
	}
}

// inNamespace writes a kustomization of a folder for a namespace, and returns its
// own folder.
func inNamespace(t *testing.T, folder, namespace, more string) string {
	t.Helper()

	dir := t.TempDir()

	absolute, err := filepath.Abs(folder)
	if err != nil {
		t.Fatal(err)
	}

	relative, err := filepath.Rel(dir, absolute)
	if err != nil {
		t.Fatal(err)
	}

	kustomization := fmt.Sprintf("namespace: %s\nresources: [%s]\n%s", namespace, relative, more)
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(kustomization), 0o600); err != nil {
		t.Fatal(err)
	}

	return dir
}

// replacements are the lines of docs/install.md.
func replacements(t *testing.T) string {
	t.Helper()

	install, err := os.ReadFile("../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}

	_, after, found := strings.Cut(string(install), "\nreplacements:\n")
	lines, _, ends := strings.Cut(after, "```")

	if !found || !ends {
		t.Fatal("docs/install.md has no replacements")
	}

	return "replacements:\n" + lines
}

// only is the one object of a kind in manifests.
func only[T any](t *testing.T, manifests, kind string) (found T) {
	t.Helper()

	for object := range strings.SplitSeq(manifests, "\n---\n") {
		if !strings.Contains("\n"+object, "\nkind: "+kind+"\n") {
			continue
		}
		if err := yaml.UnmarshalStrict([]byte(object), &found); err != nil {
			t.Fatal(err)
		}

		return found
	}

	t.Fatalf("there is no %s", kind)

	return found
}

// selects is true if the API server would find that a selector selects the labels.
// Each namespace has its name as a label.
func selects(t *testing.T, s *metav1.LabelSelector, set map[string]string, namespace string) bool {
	t.Helper()

	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}

	return selector.Matches(labels.Merge(set, labels.Set{corev1.LabelMetadataName: namespace}))
}
